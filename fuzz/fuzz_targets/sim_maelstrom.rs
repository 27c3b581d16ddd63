//! Lines of any bytes as messages of Maelstrom's protocol: each is one or is refused, and one that
//! is written is read again as it was.

#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate_sim::maelstrom::{Message, MessageError};

fuzz_target!(|input: &[u8]| {
    let mut source = input;
    loop {
        match Message::read(&mut source) {
            Ok(None) => break,
            Ok(Some(message)) => {
                let text = message.to_string();
                assert!(!text.contains('\n'));
                let again = Message::read(&mut text.as_bytes()).expect("what is written is read");
                let again = again.expect("it is not blank");
                // Numbers that are not whole may differ in their last digit.
                assert_eq!((&again.src, &again.dest), (&message.src, &message.dest));
                let numbers = |it: &Message| (it.body.msg_id, it.body.in_reply_to);
                assert_eq!(numbers(&again), numbers(&message));
                assert_eq!(again.body.kind, message.body.kind);
                assert!(again.body.fields.keys().eq(message.body.fields.keys()));
            }
            Err(MessageError::Malformed { found, .. }) => assert!(found.len() < 1024),
            Err(_) => break,
        }
    }
});
