//! Histories that everybody knows, and what is known of them.

use std::fmt::Display;
use std::process::ExitCode;

use quorate_sim::check::models::{Counter, Kv, Lock, Queue, Register, Stack};
use quorate_sim::check::transactions::ListAppend;
use quorate_sim::check::{Each, Linearizable, Model, Verdict};
use quorate_sim::history::{Vocabulary, lines, transactions};

/// Judges all of them, and panics if a verdict is not the known one.
pub(super) fn run() -> ExitCode {
    judge(Register, "a read of what is being written, one of what was", true, READS_OVER_A_WRITE);
    judge(Register, "sequentially consistent, but back in time", false, BACK_IN_TIME);
    judge(Register, "a write without an answer, read later", true, UNKNOWN_WRITE);
    judge(Kv, "two keys, each in order", true, TWO_KEYS);
    judge(Queue, "first in, last out", false, FIRST_IN_LAST_OUT);
    judge(Stack, "a push that is pending, popped", true, PENDING_PUSH);
    judge(Counter, "additions that are read half", false, HALF_COUNTED);
    judge(Lock, "two holders at once", false, TWO_HOLDERS);
    isolation("each sees the other", "G1c", EACH_SEES_THE_OTHER);
    isolation("neither sees the other", "G2-item", NEITHER_SEES_THE_OTHER);
    ExitCode::SUCCESS
}

fn judge<M>(model: M, name: &str, is_linearizable: bool, text: &str)
where
    M: Model<Operation: Display, Return: Display> + Copy,
    M: Vocabulary<Operation = <M as Model>::Operation, Return = <M as Model>::Return>,
{
    let history = lines::read(&Each(model), text.as_bytes()).expect("these are histories");
    let verdict = Linearizable::by_key(Each(model)).check(&history);
    println!("{name}: {verdict:#}");
    if is_linearizable {
        assert_eq!(verdict, Verdict::Linearizable, "{name}");
    } else {
        assert!(verdict.is_violation(), "{name}");
    }
}

fn isolation(name: &str, names: &str, text: &str) {
    let history = transactions::read(&ListAppend, text.as_bytes()).expect("these are histories");
    let verdict = ListAppend.check(&history).expect("each is appended once");
    print!("{name}: {verdict:#}");
    assert_eq!(verdict.to_string(), names, "{name}");
}

const READS_OVER_A_WRITE: &str = r#"
{"process":0,"type":"invoke","f":"write","value":100}
{"process":1,"type":"invoke","f":"read"}
{"process":2,"type":"invoke","f":"read"}
{"process":2,"type":"ok","f":"read","value":null}
{"process":1,"type":"ok","f":"read","value":100}
{"process":0,"type":"ok","f":"write","value":100}
"#;

const BACK_IN_TIME: &str = r#"
{"process":0,"type":"invoke","f":"write","value":0}
{"process":0,"type":"ok","f":"write","value":0}
{"process":0,"type":"invoke","f":"write","value":1}
{"process":1,"type":"invoke","f":"read"}
{"process":1,"type":"ok","f":"read","value":1}
{"process":2,"type":"invoke","f":"read"}
{"process":2,"type":"ok","f":"read","value":0}
{"process":0,"type":"ok","f":"write","value":1}
"#;

const UNKNOWN_WRITE: &str = r#"
{"process":0,"type":"invoke","f":"write","value":1}
{"process":0,"type":"info","f":"write","value":1}
{"process":1,"type":"invoke","f":"read"}
{"process":1,"type":"ok","f":"read","value":null}
{"process":1,"type":"invoke","f":"read"}
{"process":1,"type":"ok","f":"read","value":1}
"#;

const TWO_KEYS: &str = r#"
{"process":0,"type":"invoke","f":"put","key":"x","value":"a"}
{"process":1,"type":"invoke","f":"append","key":"y","value":"b"}
{"process":0,"type":"ok","f":"put","key":"x","value":"a"}
{"process":1,"type":"ok","f":"append","key":"y","value":"b"}
{"process":0,"type":"invoke","f":"append","key":"y","value":"c"}
{"process":0,"type":"ok","f":"append","key":"y","value":"c"}
{"process":1,"type":"invoke","f":"get","key":"y"}
{"process":1,"type":"ok","f":"get","key":"y","value":"bc"}
"#;

const FIRST_IN_LAST_OUT: &str = r#"
{"process":0,"type":"invoke","f":"enqueue","value":1}
{"process":0,"type":"ok","f":"enqueue","value":1}
{"process":0,"type":"invoke","f":"enqueue","value":2}
{"process":0,"type":"ok","f":"enqueue","value":2}
{"process":1,"type":"invoke","f":"dequeue"}
{"process":1,"type":"ok","f":"dequeue","value":2}
"#;

const PENDING_PUSH: &str = r#"
{"process":0,"type":"invoke","f":"push","value":10}
{"process":0,"type":"ok","f":"push","value":10}
{"process":0,"type":"invoke","f":"push","value":20}
{"process":1,"type":"invoke","f":"len"}
{"process":1,"type":"ok","f":"len","value":1}
{"process":1,"type":"invoke","f":"pop"}
{"process":1,"type":"ok","f":"pop","value":20}
{"process":1,"type":"invoke","f":"pop"}
{"process":1,"type":"ok","f":"pop","value":10}
"#;

const HALF_COUNTED: &str = r#"
{"process":0,"type":"invoke","f":"add","value":2}
{"process":1,"type":"invoke","f":"add","value":3}
{"process":0,"type":"ok","f":"add","value":2}
{"process":1,"type":"ok","f":"add","value":3}
{"process":0,"type":"invoke","f":"read"}
{"process":0,"type":"ok","f":"read","value":5}
{"process":0,"type":"invoke","f":"read"}
{"process":0,"type":"ok","f":"read","value":4}
"#;

const TWO_HOLDERS: &str = r#"
{"process":0,"type":"invoke","f":"acquire","value":"a"}
{"process":0,"type":"ok","f":"acquire","value":1}
{"process":1,"type":"invoke","f":"acquire","value":"b"}
{"process":1,"type":"ok","f":"acquire","value":2}
{"process":0,"type":"invoke","f":"release","value":"a"}
{"process":0,"type":"ok","f":"release"}
"#;

const EACH_SEES_THE_OTHER: &str = r#"
{"process":0,"type":"invoke","value":[["append","x",1],["r","y",null]]}
{"process":1,"type":"invoke","value":[["append","x",2],["append","y",1]]}
{"process":2,"type":"invoke","value":[["r","x",null],["r","y",null]]}
{"process":0,"type":"ok","value":[["append","x",1],["r","y",[1]]]}
{"process":1,"type":"ok","value":[["append","x",2],["append","y",1]]}
{"process":2,"type":"ok","value":[["r","x",[1,2]],["r","y",[1]]]}
"#;

const NEITHER_SEES_THE_OTHER: &str = r#"
{"process":0,"type":"invoke","value":[["append","x",1],["r","y",null]]}
{"process":1,"type":"invoke","value":[["append","y",1],["r","x",null]]}
{"process":0,"type":"ok","value":[["append","x",1],["r","y",[]]]}
{"process":1,"type":"ok","value":[["append","y",1],["r","x",[]]]}
"#;
