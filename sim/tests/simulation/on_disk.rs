//! A storage over the simulated disk: one file, a checksum per record, a sync per group.

use std::sync::{Arc, Mutex, MutexGuard};

use quorate_core::{Disk as _, File as _, Storage, StorageError, WriteId};
use quorate_sim::{Boot, DiskFile, mix};

use super::copies::{Copies, Keep, Read, Value};

/// `value: u64, checksum: u64`, one after the other.
#[derive(Debug)]
pub(crate) struct Journal {
    file: DiskFile,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Everything durable, then what waits for a sync.
    values: Vec<Value>,
    durable: usize,
    start: usize,
}

impl Keep for Journal {
    fn open(boot: &Boot<'_, Copies>) -> Result<Self, String> {
        let open = || {
            let disk = boot.disk();
            let file = if disk.list()?.is_empty() {
                disk.create_new("journal")?
            } else {
                disk.open("journal")?
            };
            disk.sync_dir()?;
            let bytes = read_all(&file)?;
            let values: Vec<Value> = bytes.chunks(16).map_while(decode).collect();
            file.set_len(16 * values.len() as u64)?;
            file.sync_data()?;
            let count = values.len();
            let state = State { values, durable: count, start: count };
            Ok(Self { file, state: Arc::new(Mutex::new(state)) })
        };
        open().map_err(|error: std::io::Error| error.to_string())
    }
}

fn read_all(file: &DiskFile) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(file.len()?).expect("small")];
    let count = file.read_at(0, &mut bytes)?;
    bytes.truncate(count);
    Ok(bytes)
}

fn decode(frame: &[u8]) -> Option<Value> {
    let (value, checksum) = frame.split_at_checked(8)?;
    let value = u64::from_le_bytes(value.try_into().ok()?);
    let checksum = u64::from_le_bytes(checksum.try_into().ok()?);
    (checksum == mix(value, 1, 1)).then_some(Value(value))
}

impl Journal {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with it")
    }
}

impl Storage<Value> for Journal {
    type Query = Read;
    type Answer = Vec<u64>;

    fn replay(&self) -> impl Iterator<Item = Result<Value, StorageError>> {
        self.state().values.clone().into_iter().map(Ok)
    }

    fn append(&self, _write: WriteId, value: Value) -> Result<(), StorageError> {
        self.state().values.push(value);
        Ok(())
    }

    async fn sync(&self) -> Result<WriteId, StorageError> {
        let mut state = self.state();
        let bytes: Vec<u8> = state.values[state.durable..]
            .iter()
            .flat_map(|value| [value.0, mix(value.0, 1, 1)])
            .flat_map(u64::to_le_bytes)
            .collect();
        let written = self.file.write_all_at(16 * state.durable as u64, &bytes);
        match written.and_then(|()| self.file.sync_data()) {
            Ok(()) => {
                state.durable = state.values.len();
                Ok(WriteId((state.durable - state.start) as u64))
            }
            Err(error) if error.kind() == std::io::ErrorKind::StorageFull => {
                Err(StorageError::Full)
            }
            Err(error) => Err(StorageError::failed(error)),
        }
    }

    async fn fetch(&self, read: Read) -> Result<Vec<u64>, StorageError> {
        let state = self.state();
        Ok(read.answer(&state.values[..state.durable]))
    }

    async fn compact(&self, _before: WriteId) -> Result<(), StorageError> {
        Ok(())
    }
}
