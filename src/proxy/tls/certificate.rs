//! The two parts of a certificate that rustls does not tell: its public key and its subject's common name.
//!
//! libpq, through OpenSSL, accepts certificates that rustls does not even parse (X.509 version 1); their keys must be
//! proved all the same. Nothing is copied, nothing recurses, and what is malformed is `None`.

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_ID: u8 = 0x06;
const BIT_STRING: u8 = 0x03;
const INTEGER: u8 = 0x02;
/// `[0]`: the version, which version 1 leaves out.
const VERSION: u8 = 0xa0;
/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// The subjectPublicKeyInfo of a certificate in DER: all of it, its tag included.
pub(super) fn public_key(certificate: &[u8]) -> Option<&[u8]> {
    let mut fields = Der(subject_and_key(certificate)?);
    fields.expect(SEQUENCE)?;
    Some(fields.expect(SEQUENCE)?.whole)
}

/// The subject and the subjectPublicKeyInfo, both without their tags, of a certificate of version 1.
pub(super) fn version_1(certificate: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut signed = Der(Der(certificate).expect(SEQUENCE)?.body);
    let first = Der(signed.expect(SEQUENCE)?.body).next()?;
    let mut fields = Der(subject_and_key(certificate)?);
    let subject = fields.expect(SEQUENCE)?.body;
    let key = fields.expect(SEQUENCE)?.body;
    (first.tag == INTEGER).then_some((subject, key))
}

/// The last common name of a certificate's subject, where it is text.
pub(super) fn common_name(certificate: &[u8]) -> Option<&str> {
    let mut names = Der(Der(subject_and_key(certificate)?).expect(SEQUENCE)?.body);
    let mut found = None;
    while !names.0.is_empty() {
        let mut attribute = Der(Der(names.expect(SET)?.body).expect(SEQUENCE)?.body);
        if attribute.expect(OBJECT_ID)?.body == COMMON_NAME {
            found = Some(attribute.next()?.body);
        }
    }
    std::str::from_utf8(found?).ok()
}

/// The algorithm of a subjectPublicKeyInfo (without its tag) and its key's bits.
pub(super) fn algorithm_and_bits(public_key: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut parts = Der(Der(public_key).expect(SEQUENCE)?.body);
    let algorithm = parts.expect(SEQUENCE)?.body;
    match parts.expect(BIT_STRING)?.body.split_first()? {
        (0, bits) => Some((algorithm, bits)),
        _ => None,
    }
}

/// What follows the validity in a certificate: the subject, the key, and more.
fn subject_and_key(certificate: &[u8]) -> Option<&[u8]> {
    let mut signed = Der(Der(certificate).expect(SEQUENCE)?.body);
    let mut fields = Der(signed.expect(SEQUENCE)?.body);
    let mut serial = fields.next()?;
    if serial.tag == VERSION {
        serial = fields.next()?;
    }
    if serial.tag != INTEGER {
        return None;
    }
    for _signature_issuer_validity in 0..3 {
        fields.expect(SEQUENCE)?;
    }
    Some(fields.0)
}

/// Elements in DER, one behind the other.
struct Der<'a>(&'a [u8]);

struct Element<'a> {
    tag: u8,
    body: &'a [u8],
    whole: &'a [u8],
}

impl<'a> Der<'a> {
    fn next(&mut self) -> Option<Element<'a>> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let length = match first {
            0..=0x7f => usize::from(first),
            0x81..=0x84 => {
                let (digits, behind) = rest.split_at_checked(usize::from(first & 0x7f))?;
                rest = behind;
                digits
                    .iter()
                    .fold(0, |length, digit| (length << 8) | usize::from(*digit))
            }
            _ => return None,
        };
        let (body, behind) = rest.split_at_checked(length)?;
        let whole = self.0.get(..self.0.len() - behind.len())?;
        self.0 = behind;
        Some(Element { tag, body, whole })
    }

    fn expect(&mut self, tag: u8) -> Option<Element<'a>> {
        self.next().filter(|element| element.tag == tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate() -> (Vec<u8>, rcgen::KeyPair) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["db.example".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(rcgen::DnType::OrganizationName, "Example");
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "db.example");
        let certificate = params.self_signed(&key).unwrap();
        (certificate.der().to_vec(), key)
    }

    #[test]
    fn a_key_and_a_name_are_found() {
        use rcgen::PublicKeyData;
        let (der, key) = certificate();
        let public = public_key(&der).unwrap();
        assert_eq!(public, key.subject_public_key_info());
        assert_eq!(common_name(&der), Some("db.example"));
        let (algorithm, bits) = algorithm_and_bits(public).unwrap();
        assert_eq!(bits, key.der_bytes());
        assert!(algorithm.starts_with(&[OBJECT_ID]));
    }

    #[test]
    fn what_is_cut_or_wrong_is_none() {
        let (der, _) = certificate();
        for length in 0..der.len() {
            assert_eq!(public_key(&der[..length]), None, "{length}");
            assert_eq!(common_name(&der[..length]), None, "{length}");
        }
        for (index, bytes) in [(0, 0x31), (1, 0x85), (1, 0x80), (4, 0x02)] {
            let mut wrong = der.clone();
            wrong[index] = bytes;
            assert_eq!(public_key(&wrong), None, "{index}");
        }
    }
}
