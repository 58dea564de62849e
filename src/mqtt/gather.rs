//! A socket that gathers what is written until its reader has nothing more to read.
//!
//! The library flushes after every packet, acknowledgements above all, and each flush would be a
//! system call here and another at the broker. Its event loop always reads before it waits, so what
//! was gathered goes out then, all at once. Nothing is held back from a socket that waits.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is gathered at most.
const GATHERED_BYTES_MAX: usize = 16 * 1024;

/// The socket.
pub struct Gathering<S: AsyncWrite + Unpin> {
    socket: S,
    gathered: Vec<u8>,
}

impl<S: AsyncWrite + Unpin> Gathering<S> {
    /// One that has gathered nothing.
    pub fn new(socket: S) -> Self {
        Self { socket, gathered: Vec::new() }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut sent = 0;
        let done = loop {
            let rest = &self.gathered[sent..];
            if rest.is_empty() {
                break Poll::Ready(Ok(()));
            }
            match Pin::new(&mut self.socket).poll_write(cx, rest) {
                Poll::Ready(Ok(0)) => break Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(more)) => sent += more,
                Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
                Poll::Pending => break Poll::Pending,
            }
        };
        self.gathered.drain(..sent);
        done
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Gathering<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // What came before the connection broke is read all the same: the next write says so.
        let failed = matches!(self.poll_send(cx), Poll::Ready(Err(_)));
        match Pin::new(&mut self.socket).poll_read(cx, into) {
            Poll::Pending if failed => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            read => read,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathering<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.gathered.len() >= GATHERED_BYTES_MAX {
            ready!(self.poll_send(cx))?;
        }
        self.gathered.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// The last that the library says, DISCONNECT, is followed by no read.
impl<S: AsyncWrite + Unpin> Drop for Gathering<S> {
    fn drop(&mut self) {
        let _ = self.poll_send(&mut Context::from_waker(Waker::noop()));
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    async fn heard(other: &mut (impl AsyncRead + Unpin), bytes: usize) -> Vec<u8> {
        let mut heard = vec![0; bytes];
        other.read_exact(&mut heard).await.unwrap();
        heard
    }

    #[tokio::test]
    async fn what_was_written_goes_out_when_the_reader_waits() {
        let (socket, mut other) = duplex(1024);
        let mut socket = Gathering::new(socket);
        for word in ["a", "b", "c"] {
            socket.write_all(word.as_bytes()).await.unwrap();
            socket.flush().await.unwrap();
        }
        assert_eq!(socket.gathered, b"abc");
        let (answer, asked) = tokio::join!(socket.read_u8(), async {
            let asked = heard(&mut other, 3).await;
            other.write_all(b"x").await.unwrap();
            asked
        });
        assert_eq!((answer.unwrap(), asked.as_slice()), (b'x', &b"abc"[..]));
    }

    #[tokio::test]
    async fn the_last_word_is_said() {
        let (socket, mut other) = duplex(1024);
        let mut socket = Gathering::new(socket);
        socket.write_all(b"bye").await.unwrap();
        drop(socket);
        assert_eq!(heard(&mut other, 3).await, b"bye");
    }

    #[tokio::test]
    async fn more_than_the_bound_goes_out_in_order() {
        let (socket, mut other) = duplex(64);
        let bytes: Vec<u8> =
            (0..GATHERED_BYTES_MAX * 3).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let all = bytes.clone();
        let writer = tokio::spawn(async move {
            let mut socket = Gathering::new(socket);
            for part in all.chunks(100) {
                socket.write_all(part).await.unwrap();
            }
            let _ = socket.read_u8().await;
        });
        assert_eq!(heard(&mut other, bytes.len()).await, bytes);
        drop(other);
        writer.await.unwrap();
    }

    #[tokio::test]
    async fn a_connection_that_is_broken_is_told() {
        let (socket, other) = duplex(64);
        let mut socket = Gathering::new(socket);
        drop(other);
        socket.write_all(b"a").await.unwrap();
        assert!(socket.read_u8().await.is_err());
    }
}
