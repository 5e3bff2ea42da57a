//! `pgprism-floor LISTEN UPSTREAM`: tokio's `copy_bidirectional` between each client and the upstream, and nothing else.
//!
//! Multi-thread runtime with one worker for each core, buffers of 8 KiB, no delay on either leg. It knows no message,
//! no timeout and no limit: nobody should run it but a benchmark.

use std::process::ExitCode;

use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpListener, TcpStream};

const BUFFER_BYTES: usize = 8 * 1024;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(listen), Some(upstream), None) =
        (arguments.next(), arguments.next(), arguments.next())
    else {
        eprintln!("pgprism-floor LISTEN UPSTREAM, both as HOST:PORT");
        return ExitCode::from(64);
    };
    let served = tokio::runtime::Builder::new_multi_thread()
        .enable_io()
        .build()
        .and_then(|runtime| runtime.block_on(serve(&listen, upstream)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pgprism-floor: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(listen: &str, upstream: String) -> std::io::Result<()> {
    let listener = TcpListener::bind(listen).await?;
    let upstream: std::sync::Arc<str> = upstream.into();
    loop {
        let (client, _) = listener.accept().await?;
        let upstream = upstream.clone();
        tokio::spawn(async move {
            // A session that fails ends; the client sees that.
            let _ = relay(client, &upstream).await;
        });
    }
}

async fn relay(mut client: TcpStream, upstream: &str) -> std::io::Result<()> {
    let mut server = TcpStream::connect(upstream).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    copy_bidirectional_with_sizes(&mut client, &mut server, BUFFER_BYTES, BUFFER_BYTES).await?;
    Ok(())
}
