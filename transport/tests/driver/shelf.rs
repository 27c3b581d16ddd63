//! A storage in memory whose disk does what a test wants.

use std::sync::Arc;
use std::task::{Poll, Waker};

use bytes::Bytes;
use futures::future::poll_fn;
use parking_lot::Mutex;
use quorate_core::{Storage, StorageError, WriteId};

/// What the disk does with a sync.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Disk {
    Works,
    Stalls,
    IsFull,
    Fails,
}

#[derive(Clone)]
pub(crate) struct Shelf(Arc<Mutex<State>>);

struct State {
    disk: Disk,
    records: Vec<(u64, Bytes)>,
    durable: usize,
    syncs: u64,
    waker: Option<Waker>,
}

impl Shelf {
    pub(crate) fn new(disk: Disk) -> Self {
        let (records, waker) = (Vec::new(), None);
        Self(Arc::new(Mutex::new(State { disk, records, durable: 0, syncs: 0, waker })))
    }

    pub(crate) fn set(&self, disk: Disk) {
        let mut state = self.0.lock();
        state.disk = disk;
        state.waker.take().into_iter().for_each(Waker::wake);
    }

    pub(crate) fn syncs(&self) -> u64 {
        self.0.lock().syncs
    }

    pub(crate) fn durable(&self) -> usize {
        self.0.lock().durable
    }
}

impl Storage<(u64, Bytes)> for Shelf {
    type Query = u64;
    type Answer = (u64, Bytes);

    fn replay(&self) -> impl Iterator<Item = Result<(u64, Bytes), StorageError>> {
        std::iter::empty()
    }

    fn append(&self, write: WriteId, record: (u64, Bytes)) -> Result<(), StorageError> {
        let mut state = self.0.lock();
        state.records.push(record);
        assert_eq!(write.0, state.records.len() as u64, "writes come in order");
        Ok(())
    }

    async fn sync(&self) -> Result<WriteId, StorageError> {
        let count = self.0.lock().records.len();
        poll_fn(|cx| {
            let mut state = self.0.lock();
            match state.disk {
                Disk::Stalls => {
                    state.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
                Disk::IsFull => Poll::Ready(Err(StorageError::Full)),
                Disk::Fails => Poll::Ready(Err(StorageError::failed("the disk is broken"))),
                Disk::Works => {
                    state.durable = count;
                    state.syncs += 1;
                    Poll::Ready(Ok(WriteId(count as u64)))
                }
            }
        })
        .await
    }

    async fn fetch(&self, number: u64) -> Result<(u64, Bytes), StorageError> {
        let state = self.0.lock();
        let found = state.records[..state.durable].iter().find(|(it, _)| *it == number);
        found.cloned().ok_or_else(|| StorageError::failed("asked for what is not durable"))
    }

    async fn compact(&self, _before: WriteId) -> Result<(), StorageError> {
        Ok(())
    }
}
