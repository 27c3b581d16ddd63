//! `inspect`: what is in each segment, for people or as JSON lines.

use std::process::ExitCode;

use quorate_wal::Directory;
use quorate_wal::inspect::{self, FrameReport, SegmentReport};

use super::{Done, exit_code, folder};

pub(super) fn inspect(words: &[&str]) -> Done {
    let (mut path, mut has_frames, mut is_json) = (None, false, false);
    for word in words {
        match *word {
            "--frames" => has_frames = true,
            "--json" => is_json = true,
            word if word.starts_with('-') || path.is_some() => return Err(super::USAGE.into()),
            word => path = Some(word),
        }
    }
    let disk = folder(path.ok_or(super::USAGE)?)?;
    let found = inspect::log(&disk)?;
    for segment in &found.segments {
        println!("{}", if is_json { json(segment) } else { line(segment) });
        if has_frames {
            print_frames(&disk, segment, is_json)?;
        }
        for damage in segment.damaged.iter().filter(|_| !is_json) {
            println!("  damaged: {damage}");
        }
    }
    if is_json {
        println!("{{\"verdict\":\"{}\"}}", escaped(&found.verdict.to_string()));
    } else {
        println!("{}", found.verdict);
    }
    Ok::<ExitCode, _>(exit_code(&found.verdict))
}

fn print_frames(
    disk: &Directory,
    segment: &SegmentReport,
    is_json: bool,
) -> Result<(), Box<dyn std::error::Error>> {
    if segment.log_id == 0 {
        return Ok(());
    }
    for frame in inspect::frames(disk, segment.sequence)? {
        println!("{}", if is_json { frame_json(&frame) } else { frame_line(&frame) });
    }
    Ok(())
}

fn line(segment: &SegmentReport) -> String {
    let [data, suffixes, prefixes, states, marks, seals] = segment.frames;
    format!(
        "{} {} bytes, used {}, certified {}, log {:016x}, from record {}, low-water mark {}: \
         {data} records, {suffixes} suffixes and {prefixes} prefixes cut, {states} states, \
         {marks} marks, {seals} seals",
        segment.file(),
        segment.bytes,
        segment.end,
        segment.certified_bytes,
        segment.log_id,
        segment.start_index,
        segment.first_index,
    )
}

fn json(segment: &SegmentReport) -> String {
    let [data, suffixes, prefixes, states, marks, seals] = segment.frames;
    let damaged: Vec<String> =
        segment.damaged.iter().map(|it| format!("\"{}\"", escaped(&it.to_string()))).collect();
    format!(
        "{{\"file\":\"{}\",\"bytes\":{},\"end\":{},\"certified\":{},\"log\":{},\"start\":{},\
         \"first\":{},\"data\":{data},\"truncate_suffix\":{suffixes},\
         \"truncate_prefix\":{prefixes},\"state\":{states},\"mark\":{marks},\"seal\":{seals},\
         \"damaged\":[{}]}}",
        segment.file(),
        segment.bytes,
        segment.end,
        segment.certified_bytes,
        segment.log_id,
        segment.start_index,
        segment.first_index,
        damaged.join(","),
    )
}

fn frame_line(frame: &FrameReport) -> String {
    let FrameReport { offset, kind, index, payload_bytes, certified_bytes, .. } = frame;
    let end = if frame.is_batch_end { ", ends a batch" } else { "" };
    format!(
        "  {offset:>10} {kind} {index}, {payload_bytes} bytes, certifies {certified_bytes}{end}"
    )
}

fn frame_json(frame: &FrameReport) -> String {
    let FrameReport { offset, kind, index, payload_bytes, certified_bytes, is_batch_end, .. } =
        frame;
    format!(
        "{{\"offset\":{offset},\"kind\":\"{kind}\",\"index\":{index},\"bytes\":{payload_bytes},\
         \"certifies\":{certified_bytes},\"batch_end\":{is_batch_end}}}"
    )
}

/// Returns text as JSON has it between quotes.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
