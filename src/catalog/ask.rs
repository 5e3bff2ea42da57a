//! The connection, and the few statements that are sent over it.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, NoTls};

use super::address::Address;
use crate::advise::{Place, TableKeys};

/// Longest wait for a connection, its login included.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// What the server itself stops a statement after: looking one table up takes it a millisecond.
const STATEMENT_TIMEOUT: &str = "1s";
/// Longest wait for an answer, when the server does not keep to its own limit.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Most constraints and indexes of a table that are looked at.
const ROWS_MAX: i64 = 500;

/// Why the catalogue gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// No connection in time.
    #[error("no connection within {CONNECT_WITHIN:?}")]
    ConnectTimeout,
    /// The connection was refused, or the login was.
    #[error("{}", Chain(.0))]
    Connect(tokio_postgres::Error),
    /// No answer in time.
    #[error("no answer within {ANSWER_WITHIN:?}")]
    AnswerTimeout,
    /// The server answered with an error, or went away.
    #[error("{}", Chain(.0))]
    Answer(tokio_postgres::Error),
}

impl AskError {
    /// The server refused this one statement; the connection can be asked the next.
    pub(super) fn is_about_one_table(&self) -> bool {
        matches!(self, AskError::Answer(error) if error.as_db_error().is_some() && !error.is_closed())
    }

    /// The word that it is counted by.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            AskError::ConnectTimeout => "connect_timeout",
            AskError::Connect(_) => "connect",
            AskError::AnswerTimeout => "answer_timeout",
            AskError::Answer(_) => "answer",
        }
    }
}

/// An error with its causes: the crate's own Display leaves them out.
struct Chain<'e>(&'e tokio_postgres::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = std::error::Error::source(self.0);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// What the catalogue says about a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) keys: TableKeys,
}

/// One connection; it ends when this is dropped.
pub(super) struct Connection {
    client: Client,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    pub(super) async fn open(address: &Address) -> Result<Connection, AskError> {
        let mut config = address.config().clone();
        let own = config.get_options().unwrap_or_default();
        config
            .options(format!(
                "{own} -c default_transaction_read_only=on -c statement_timeout={STATEMENT_TIMEOUT}"
            ))
            .application_name("pgprism")
            .connect_timeout(CONNECT_WITHIN);
        // Its own limit is for each address, and ends with the TCP connection.
        let (client, connection) = timeout(CONNECT_WITHIN, config.connect(NoTls))
            .await
            .map_err(|_| AskError::ConnectTimeout)?
            .map_err(AskError::Connect)?;
        let driver = tokio::spawn(async move {
            // An error ends it; the client's next question says so.
            let _ = connection.await;
        });
        Ok(Connection { client, driver })
    }

    /// The keys of `table`; `None` where there is no such table, or nobody may see it.
    pub(super) async fn about(&self, table: &str) -> Result<Option<Answer>, AskError> {
        let mut oid = None;
        for name in spellings(table) {
            oid = self.oid(&name).await?;
            if oid.is_some() {
                break;
            }
        }
        let Some(oid) = oid else { return Ok(None) };
        let mut keys = TableKeys::default();
        for row in self.rows(UNIQUE, oid).await? {
            let columns: Vec<String> = row.try_get(1).map_err(AskError::Answer)?;
            if let [only] = &*columns {
                keys.unique.insert(only.clone());
            }
            if row.try_get(0).map_err(AskError::Answer)? {
                keys.primary_key = columns;
            }
        }
        for row in self.rows(FOREIGN, oid).await? {
            let text = |index: usize| row.try_get::<_, String>(index).map_err(AskError::Answer);
            keys.foreign_keys
                .insert(text(0)?, Place::new(text(1)?, text(2)?));
        }
        Ok(Some(Answer { keys }))
    }

    async fn oid(&self, name: &str) -> Result<Option<u32>, AskError> {
        let question = "SELECT pg_catalog.to_regclass($1)::oid";
        let named: [(&(dyn ToSql + Sync), Type); 1] = [(&name, Type::TEXT)];
        let rows = answered(self.client.query_typed(question, &named)).await?;
        match rows.first() {
            Some(row) => row.try_get(0).map_err(AskError::Answer),
            None => Ok(None),
        }
    }

    async fn rows(&self, statement: &str, oid: u32) -> Result<Vec<tokio_postgres::Row>, AskError> {
        // Without a name and in one round trip: a pool between us keeps no statement of ours.
        let given: [(&(dyn ToSql + Sync), Type); 2] = [(&oid, Type::OID), (&ROWS_MAX, Type::INT8)];
        answered(self.client.query_typed(statement, &given)).await
    }
}

async fn answered<T>(
    asked: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, AskError> {
    timeout(ANSWER_WITHIN, asked)
        .await
        .map_err(|_| AskError::AnswerTimeout)?
        .map_err(AskError::Answer)
}

/// Unique indexes without a condition, their columns in order; expressions are no columns and leave the index out.
const UNIQUE: &str = "\
SELECT i.indisprimary, array_agg(a.attname::text ORDER BY k.position)
FROM pg_catalog.pg_index i
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(number, position)
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number AND k.number > 0
WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND k.position <= i.indnkeyatts
GROUP BY i.indexrelid, i.indisprimary
HAVING count(a.attname) = count(*)
LIMIT $2";

/// Foreign keys of one column; the other table goes by the name that a statement would use.
const FOREIGN: &str = "\
SELECT a.attname::text,
       CASE WHEN pg_catalog.pg_table_is_visible(f.oid) THEN f.relname::text ELSE n.nspname || '.' || f.relname END,
       b.attname::text
FROM pg_catalog.pg_constraint c
JOIN pg_catalog.pg_class f ON f.oid = c.confrelid
JOIN pg_catalog.pg_namespace n ON n.oid = f.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
JOIN pg_catalog.pg_attribute b ON b.attrelid = c.confrelid AND b.attnum = c.confkey[1]
WHERE c.conrelid = $1 AND c.contype = 'f' AND cardinality(c.conkey) = 1
LIMIT $2";

/// `table` as SQL may write it: whole, and with its first part as the schema, since a name may have dots in it too.
pub(super) fn spellings(table: &str) -> Vec<String> {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let mut spellings = vec![quoted(table)];
    if let Some((schema, rest)) = table.split_once('.') {
        spellings.push(format!("{}.{}", quoted(schema), quoted(rest)));
    }
    spellings
}
