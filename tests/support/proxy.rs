//! A wire that a test can cut, slow down, or lose packets on: a TCP proxy.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

use super::daemon::quiet_port;

/// What the wire does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// Hands on.
    Whole,
    /// Hands on so much later, at most [`CHUNK`] bytes at a time.
    Slow(Duration),
    /// Takes everything and hands on nothing, without a word. A connection on which that has
    /// happened stays so for ever: nobody is ever told that it has ended.
    Vanishing,
    /// Resets every connection, and each new one.
    Cut,
    /// Hands on until a near end has said something that ends so. The far end hears that as well; its
    /// answer comes to nobody, and the wire is cut.
    CutAfter(&'static [u8]),
}

/// Most bytes that go at one time.
const CHUNK: usize = 4_096;

/// A wire to a port of this machine. Dropping it resets what goes through it.
pub struct Proxy {
    pub port: u16,
    wire: Arc<watch::Sender<Wire>>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// A whole wire to this port.
    pub async fn to(port: u16) -> Self {
        let own = quiet_port();
        let listener = TcpListener::bind(("127.0.0.1", own)).await.expect("a port");
        let wire = Arc::new(watch::Sender::new(Wire::Whole));
        let seen = Arc::clone(&wire);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((phone, _)) = listener.accept().await {
                connections.spawn(carry(phone, port, Arc::clone(&seen)));
                while connections.try_join_next().is_some() {}
            }
        });
        Self { port: own, wire, task }
    }

    pub fn becomes(&self, wire: Wire) {
        self.wire.send_replace(wire);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One connection, from its beginning to its end.
async fn carry(mut near: TcpStream, port: u16, sender: Arc<watch::Sender<Wire>>) {
    let wire = sender.subscribe();
    // What is dropped from here on is reset, not closed.
    let _ = near.set_zero_linger();
    let carried = async {
        let Ok(mut far) = TcpStream::connect(("127.0.0.1", port)).await else { return };
        let _ = (far.set_zero_linger(), far.set_nodelay(true), near.set_nodelay(true));
        let (near_reads, near_writes) = near.split();
        let (far_reads, far_writes) = far.split();
        let was_last = AtomicBool::new(false);
        let asks = |bytes: &[u8]| {
            if let Wire::CutAfter(words) = *wire.borrow() {
                was_last.store(bytes.ends_with(words), Relaxed);
            }
            true
        };
        let answers = |_: &[u8]| {
            let cut = was_last.load(Relaxed);
            if cut {
                sender.send_replace(Wire::Cut);
            }
            !cut
        };
        // Either end's end is the other's, unless the wire has lost it.
        tokio::select! {
            _ = pump(near_reads, far_writes, wire.clone(), asks) => {}
            _ = pump(far_reads, near_writes, wire.clone(), answers) => {}
        }
    };
    tokio::select! {
        biased;
        () = is(&wire, Wire::Cut) => {}
        () = carried => {}
    }
}

/// Returns when the wire has become this.
async fn is(wire: &watch::Receiver<Wire>, this: Wire) {
    // An error means that the proxy is gone, and this with it.
    let _ = wire.clone().wait_for(|wire| *wire == this).await;
}

/// Hands on in one direction until either end has closed, or this says no of what comes. Never returns
/// once something has vanished.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    wire: watch::Receiver<Wire>,
    goes_on: impl Fn(&[u8]) -> bool,
) -> io::Result<()> {
    let mut bytes = [0; CHUNK];
    loop {
        tokio::select! {
            biased;
            () = is(&wire, Wire::Vanishing) => break,
            read = from.read(&mut bytes) => {
                let read = read?;
                if !goes_on(&bytes[..read]) {
                    return Ok(());
                }
                if read == 0 {
                    return to.shutdown().await;
                }
                let now = *wire.borrow();
                match now {
                    Wire::Slow(by) => sleep(by).await,
                    Wire::Whole | Wire::CutAfter(_) => {}
                    Wire::Vanishing | Wire::Cut => break,
                }
                to.write_all(&bytes[..read]).await?;
            }
        }
    }
    while from.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
    std::future::pending().await
}
