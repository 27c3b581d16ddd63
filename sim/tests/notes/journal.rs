//! A storage of words in a file of the simulated disk: a sector for each word, with a checksum of
//! all behind it.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use quorate_core::{Disk as _, File as _, Storage, StorageError, WriteId};
use quorate_sim::{Disk, DiskFile, mix};

use super::protocol::Word;

/// `length: u64, durable: u64, checksum: u64, text`, and zeros to the end of the sector, one after
/// the other. `durable` is how many words were durable when this one was written.
#[derive(Debug)]
pub(crate) struct Journal {
    file: DiskFile,
    state: Arc<Mutex<State>>,
    /// What was cut off at the start, in sectors.
    pub(crate) torn: usize,
}

#[derive(Debug, Default)]
struct State {
    words: Vec<Word>,
    durable: usize,
    start: usize,
}

const SECTOR: usize = 512;
const HEAD: usize = 24;

impl Journal {
    /// Opens the journal, or makes it.
    ///
    /// A tail that is damaged is cut off: a crash may have torn it. But if a word behind it says
    /// that it was durable, the journal is refused.
    pub(crate) fn open(disk: &Disk) -> io::Result<Self> {
        let file = match disk.open("journal") {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => disk.create_new("journal")?,
            Err(error) => return Err(error),
        };
        disk.sync_dir()?;
        let mut bytes = vec![0; usize::try_from(file.len()?).map_err(io::Error::other)?];
        let count = file.read_at(0, &mut bytes)?;
        let sectors: Vec<_> = bytes[..count].chunks(SECTOR).map(decode).collect();
        let good = sectors.iter().take_while(|word| word.is_some()).count();
        let knows_more = |(durable, _): &&(u64, Word)| (good as u64) < *durable;
        if let Some((_, after)) = sectors[good..].iter().flatten().find(knows_more) {
            return Err(io::Error::other(format!("note {good} is damaged, {after} follows it")));
        }
        let torn = sectors.len() - good;
        file.set_len((good * SECTOR) as u64)?;
        file.sync_data()?;
        let words = sectors.into_iter().take(good).flatten().map(|(_, word)| word).collect();
        let state = State { words, durable: good, start: good };
        Ok(Self { file, state: Arc::new(Mutex::new(state)), torn })
    }

    /// Returns the words, with spaces between.
    pub(crate) fn words(&self) -> String {
        let state = self.state();
        state.words.iter().map(|word| word.0.as_str()).collect::<Vec<_>>().join(" ")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with it")
    }
}

/// Returns how many words were durable, and the word.
fn decode(sector: &[u8]) -> Option<(u64, Word)> {
    let (head, text) = sector.split_at_checked(HEAD)?;
    let number = |at: usize| head[at..at + 8].try_into().map_or(0, u64::from_le_bytes);
    let (length, durable, checksum) = (number(0), number(8), number(16));
    let is_whole = checksum == sum(length, durable, text);
    let text = text.get(..usize::try_from(length).ok()?)?;
    let word = Word(String::from_utf8(text.to_vec()).ok()?);
    is_whole.then_some((durable, word))
}

fn encode(durable: usize, word: &Word) -> [u8; SECTOR] {
    let mut sector = [0; SECTOR];
    sector[HEAD..HEAD + word.0.len()].copy_from_slice(word.0.as_bytes());
    let (length, durable) = (word.0.len() as u64, durable as u64);
    let checksum = sum(length, durable, &sector[HEAD..]);
    for (at, number) in [(0, length), (8, durable), (16, checksum)] {
        sector[at..at + 8].copy_from_slice(&number.to_le_bytes());
    }
    sector
}

fn sum(length: u64, durable: u64, text: &[u8]) -> u64 {
    text.iter().fold(mix(length, durable, 0), |sum, byte| mix(sum, 1, (*byte).into()))
}

impl Storage<Word> for Journal {
    type Query = u64;
    type Answer = Word;

    fn replay(&self) -> impl Iterator<Item = Result<Word, StorageError>> {
        self.state().words.clone().into_iter().map(Ok)
    }

    fn append(&self, _write: WriteId, word: Word) -> Result<(), StorageError> {
        self.state().words.push(word);
        Ok(())
    }

    async fn sync(&self) -> Result<WriteId, StorageError> {
        let mut state = self.state();
        let new = state.words[state.durable..].iter();
        let bytes: Vec<u8> = new.flat_map(|word| encode(state.durable, word)).collect();
        let written = self.file.write_all_at((state.durable * SECTOR) as u64, &bytes);
        match written.and_then(|()| self.file.sync_data()) {
            Ok(()) => {
                state.durable = state.words.len();
                Ok(WriteId((state.durable - state.start) as u64))
            }
            Err(error) if error.kind() == io::ErrorKind::StorageFull => Err(StorageError::Full),
            Err(error) => Err(StorageError::failed(error)),
        }
    }

    async fn fetch(&self, index: u64) -> Result<Word, StorageError> {
        let index = usize::try_from(index).map_err(StorageError::failed)?;
        let mut sector = vec![0; SECTOR];
        let offset = (index * SECTOR) as u64;
        let read = self.file.read_at(offset, &mut sector).map_err(StorageError::failed)?;
        let damaged = || io::Error::other(format!("note {index} is damaged"));
        let found = decode(&sector[..read]).map(|(_, word)| word);
        found.ok_or_else(|| StorageError::failed(damaged()))
    }

    async fn compact(&self, _before: WriteId) -> Result<(), StorageError> {
        Ok(())
    }
}
