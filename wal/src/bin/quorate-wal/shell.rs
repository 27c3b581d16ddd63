//! `shell`: commands on standard input, and a line for each: `ok ..`, `none` or `err CODE text`.
//!
//! ```text
//! open DIR [segment-bytes=N] [preallocate=none|zero|reserve|recycle] [recovery=strict|cut|salvage]
//!     [durability=always|never|interval:MS] [expect=N]
//!                        ok FIRST NEXT DURABLE cut=BYTES
//! append HEX | @COUNT:BYTE   ok INDEX      not yet durable
//! batch HEX HEX ..           ok FIRST LAST
//! rewrite FROM HEX ..        ok FIRST LAST truncates and appends as one
//! sync                       ok DURABLE-END
//! write                      ok            to the file, without a sync
//! read INDEX                 ok HEX | none
//! range                      ok FIRST NEXT DURABLE
//! truncate-suffix FROM       ok NEXT
//! truncate-prefix TO         ok FIRST
//! state [HEX]                ok [HEX]
//! roll                       ok            seals the last segment
//! damaged                    ok COUNT [SEGMENT:OFFSET:INDEX ..] as of the open; INDEX may be -
//! restore INDEX HEX          ok            puts back a record that is damaged
//! verify                     ok RECORDS    reads every byte
//! close | drop               ok            with a mark at the end, or without
//! ```
//!
//! Codes: corrupt, locked, full, poisoned, compacted, invalid, too-large, closed, io.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use quorate_core::{Disk, Instant};
use quorate_wal::{
    Batch, Config, Damage, Durability, Index, OpenError, Preallocate, ReadError, Recovery,
    RestoreError, Wal, WriteError,
};

/// A log that is played with.
pub(crate) struct Shell<D: Disk> {
    folder: fn(&str) -> io::Result<D>,
    wal: Option<Wal<D>>,
    damaged: Vec<Damage>,
}

/// Why a command did nothing, or not what it should.
struct Refusal {
    code: &'static str,
    text: String,
}

impl Refusal {
    fn invalid(text: impl Into<String>) -> Self {
        Self { code: "invalid", text: text.into() }
    }
}

type Answer = Result<String, Refusal>;

impl<D: Disk> Shell<D> {
    /// Makes a shell whose folders are those of `folder`.
    pub(crate) const fn new(folder: fn(&str) -> io::Result<D>) -> Self {
        Self { folder, wal: None, damaged: Vec::new() }
    }

    /// Runs a command. `None`: an empty line, or a comment.
    pub(crate) fn run(&mut self, line: &str) -> Option<String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words.first().is_none_or(|word| word.starts_with('#')) {
            return None;
        }
        Some(match self.answer(&words) {
            Ok(answer) => answer,
            Err(Refusal { code, text }) => format!("err {code} {text}"),
        })
    }

    /// Says what time it is.
    pub(crate) fn handle_timeout(&self, now: Instant) {
        if let Some(wal) = &self.wal {
            wal.handle_timeout(now);
        }
    }

    fn answer(&mut self, words: &[&str]) -> Answer {
        match words {
            ["open", path, options @ ..] => self.open(path, options),
            ["append", record] => self.append(record),
            ["batch", records @ ..] => self.write(Batch::new(), records),
            ["rewrite", from, records @ ..] => {
                self.write(Batch::new().truncate_suffix(index(from)?), records)
            }
            ["sync"] => Ok(format!("ok {}", self.wal()?.sync()?)),
            ["write"] => Ok(self.wal()?.flush().map(|()| "ok".to_owned())?),
            ["roll"] => Ok(self.wal()?.roll().map(|()| "ok".to_owned())?),
            ["read", at] => match self.wal()?.read(index(at)?)? {
                Some(record) => Ok(format!("ok {}", hex(&record)).trim_end().to_owned()),
                None => Ok("none".to_owned()),
            },
            ["range"] => Ok(range(self.wal()?)),
            ["truncate-suffix", from] => {
                let wal = self.wal()?;
                drop(wal.truncate_suffix(index(from)?)?);
                Ok(format!("ok {}", wal.next_index()))
            }
            ["truncate-prefix", to] => {
                let wal = self.wal()?;
                wal.truncate_prefix(index(to)?)?;
                Ok(format!("ok {}", wal.first_index()))
            }
            ["state"] => Ok(format!("ok {}", hex(&self.wal()?.state())).trim_end().to_owned()),
            ["state", state] => {
                drop(self.wal()?.set_state(bytes(state)?)?);
                Ok("ok".to_owned())
            }
            ["damaged"] => Ok(self.damaged()),
            ["restore", at, record] => {
                self.wal()?.restore(index(at)?, &bytes(record)?)?;
                Ok("ok".to_owned())
            }
            ["verify"] => Ok(format!("ok {}", self.wal()?.verify()?.records)),
            ["close"] => {
                let closed = self.wal.take().ok_or_else(nothing_open)?.close();
                closed.map(|()| "ok".to_owned()).map_err(Refusal::from)
            }
            ["drop"] => self.wal.take().map(|_| "ok".to_owned()).ok_or_else(nothing_open),
            _ => Err(Refusal::invalid("no such command, or other arguments than it has")),
        }
    }

    fn wal(&self) -> Result<&Wal<D>, Refusal> {
        self.wal.as_ref().ok_or_else(nothing_open)
    }

    fn open(&mut self, path: &str, options: &[&str]) -> Answer {
        if self.wal.is_some() {
            return Err(Refusal::invalid("a log is open: close or drop it first"));
        }
        let mut config = Config::default();
        for option in options {
            set(&mut config, option)?;
        }
        let io = |error: io::Error| Refusal { code: "io", text: error.to_string() };
        let disk = (self.folder)(path).map_err(io)?;
        let opened = Wal::open_on(disk, config).map_err(|error| {
            let Refusal { code, text } = error.into();
            Refusal { code, text: format!("{path}: {text}") }
        });
        let (wal, recovered) = opened?;
        let cut = recovered.cut.map_or(0, |cut| cut.bytes);
        let answer = format!("{} cut={cut}", range(&wal));
        self.damaged = recovered.damaged;
        self.wal = Some(wal);
        Ok(answer)
    }

    fn damaged(&self) -> String {
        let mut answer = format!("ok {}", self.damaged.len());
        for Damage { segment, offset, index, .. } in &self.damaged {
            let index = index.map_or_else(|| "-".to_owned(), |it| it.to_string());
            write!(answer, " {segment}:{offset}:{index}").expect("a string takes all");
        }
        answer
    }

    fn append(&self, record: &str) -> Answer {
        let ack = self.wal()?.append(bytes(record)?)?;
        Ok(format!("ok {}", ack.indexes().start))
    }

    fn write(&self, batch: Batch, records: &[&str]) -> Answer {
        let mut batch = batch;
        for record in records {
            batch = batch.append(bytes(record)?);
        }
        let indexes = self.wal()?.write(batch)?.indexes();
        let last = indexes.end.0.saturating_sub(1);
        Ok(format!("ok {} {last}", indexes.start))
    }
}

fn range<D: Disk>(wal: &Wal<D>) -> String {
    format!("ok {} {} {}", wal.first_index(), wal.next_index(), wal.durable_end())
}

fn nothing_open() -> Refusal {
    Refusal { code: "closed", text: "no log is open".to_owned() }
}

fn set(config: &mut Config, option: &str) -> Result<(), Refusal> {
    let number = |text: &str| text.parse::<u64>().map_err(|_| Refusal::invalid(option));
    match option.split_once('=') {
        Some(("segment-bytes", text)) => {
            let bytes = u32::try_from(number(text)?);
            config.segment_bytes = bytes.map_err(|_| Refusal::invalid(option))?;
        }
        Some(("preallocate", "none")) => config.preallocate = Preallocate::None,
        Some(("preallocate", "zero")) => {
            config.preallocate = Preallocate::ZeroAhead { step: 1 << 20 };
        }
        Some(("preallocate", "reserve")) => config.preallocate = Preallocate::Reserve,
        Some(("preallocate", "recycle")) => config.preallocate = Preallocate::Recycle { files: 2 },
        Some(("recovery", "strict")) => config.recovery = Recovery::Strict,
        Some(("recovery", "cut")) => config.recovery = Recovery::CutTail,
        Some(("recovery", "salvage")) => config.recovery = Recovery::Salvage,
        Some(("durability", "always")) => config.durability = Durability::Always,
        Some(("durability", "never")) => config.durability = Durability::Never,
        Some(("durability", text)) => {
            let millis = text.strip_prefix("interval:").ok_or_else(|| Refusal::invalid(option))?;
            config.durability = Durability::Interval(Duration::from_millis(number(millis)?));
        }
        Some(("expect", text)) => config.expect_at_least = Some(Index(number(text)?)),
        _ => return Err(Refusal::invalid(format!("no option is called {option}"))),
    }
    Ok(())
}

fn index(text: &str) -> Result<Index, Refusal> {
    unsigned(text).parse().map(Index).map_err(|_| Refusal::invalid(format!("{text} is no index")))
}

/// Returns digits as they are, and nothing for what the standard library takes for a sign.
fn unsigned(text: &str) -> &str {
    if text.starts_with('+') { "" } else { text }
}

/// Reads `0aff`, or `@3:ff` for three times ff.
fn bytes(text: &str) -> Result<Vec<u8>, Refusal> {
    let wrong = || Refusal::invalid("expected hexadecimal digits in pairs, or @COUNT:BYTE");
    if let Some((count, byte)) = text.strip_prefix('@').and_then(|it| it.split_once(':')) {
        let count: usize = count.parse().map_err(|_| wrong())?;
        let byte = u8::from_str_radix(unsigned(byte), 16).map_err(|_| wrong())?;
        if BYTES_MAX < count {
            return Err(Refusal { code: "too-large", text: format!("at most {BYTES_MAX} bytes") });
        }
        return Ok(vec![byte; count]);
    }
    let pair = |pair: &[u8]| {
        let text = std::str::from_utf8(pair).ok().filter(|_| pair.len() == 2)?;
        u8::from_str_radix(unsigned(text), 16).ok()
    };
    text.as_bytes().chunks(2).map(pair).collect::<Option<_>>().ok_or_else(wrong)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes all");
        text
    })
}

impl From<OpenError> for Refusal {
    fn from(error: OpenError) -> Self {
        let code = match &error {
            OpenError::Io { .. } => "io",
            OpenError::Locked { .. } => "locked",
            OpenError::Invalid(_) | OpenError::Unsupported { .. } => "invalid",
            _ => "corrupt",
        };
        Self { code, text: error.to_string() }
    }
}

impl From<WriteError> for Refusal {
    fn from(error: WriteError) -> Self {
        let code = match &error {
            WriteError::Poisoned { .. } => "poisoned",
            WriteError::DiskFull | WriteError::Backlog { .. } => "full",
            WriteError::TooLarge { .. } => "too-large",
            WriteError::Closed => "closed",
            WriteError::NotFreed { .. } | WriteError::ReadOnly { damage: None } => "io",
            WriteError::ReadOnly { damage: Some(_) } => "corrupt",
            _ => "invalid",
        };
        Self { code, text: error.to_string() }
    }
}

impl From<ReadError> for Refusal {
    fn from(error: ReadError) -> Self {
        let code = match &error {
            ReadError::Compacted { .. } => "compacted",
            ReadError::Corrupt(_) => "corrupt",
            _ => "io",
        };
        Self { code, text: error.to_string() }
    }
}

impl From<RestoreError> for Refusal {
    fn from(error: RestoreError) -> Self {
        let code = match &error {
            RestoreError::Refused(refused) => return refused.clone().into(),
            RestoreError::NoPlace(_) => "corrupt",
            RestoreError::Read(_) | RestoreError::Write(_) => "io",
            _ => "invalid",
        };
        Self { code, text: error.to_string() }
    }
}

/// What `@COUNT:BYTE` makes, at most.
const BYTES_MAX: usize = 1 << 30;
