//! A client that reads what is published and acknowledges it at once.

use std::ops::ControlFlow;

use anyhow::{bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::mqtt::{self, Packet};

pub struct Reader {
    stream: TcpStream,
    out: Vec<u8>,
    buffer: Vec<u8>,
    filled: usize,
}

impl Reader {
    /// Connects with these first packets, a CONNECT and a SUBSCRIBE, and waits for the answer.
    pub async fn begin(port: u16, first_packets: Vec<u8>) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let mut this = Self { stream, out: first_packets, buffer: vec![0; 64 * 1024], filled: 0 };
        this.packets(|packet| match packet {
            Packet::SubAck(codes) if codes.iter().all(|code| *code < 0x80) => {
                Ok(ControlFlow::Break(()))
            }
            Packet::ConnAck(0) => Ok(ControlFlow::Continue(())),
            other => bail!("the broker refuses a reader: {other:?}"),
        })
        .await?;
        Ok(this)
    }

    /// Reads messages until `take` has had enough.
    pub async fn read(
        &mut self,
        mut take: impl FnMut(&[u8]) -> anyhow::Result<ControlFlow<()>>,
    ) -> anyhow::Result<()> {
        self.packets(|packet| match packet {
            Packet::Publish { payload, .. } => take(payload),
            _ => Ok(ControlFlow::Continue(())),
        })
        .await
    }

    async fn packets(
        &mut self,
        mut take: impl FnMut(Packet<'_>) -> anyhow::Result<ControlFlow<()>>,
    ) -> anyhow::Result<()> {
        let mut more = true;
        while more {
            self.stream.write_all(&self.out).await?;
            self.out.clear();
            let read = self.stream.read(&mut self.buffer[self.filled..]).await?;
            ensure!(read > 0, "the broker has ended a reader's connection");
            self.filled += read;
            let mut from = 0;
            while let Some((packet, length)) = mqtt::first(&self.buffer[from..self.filled])? {
                if let Packet::Publish { packet: Some(identifier), .. } = packet {
                    mqtt::puback(&mut self.out, identifier);
                }
                more &= take(packet)?.is_continue();
                from += length;
            }
            self.buffer.copy_within(from..self.filled, 0);
            self.filled -= from;
        }
        Ok(self.stream.write_all(&self.out).await?)
    }
}
