//! Released bytes, as hexadecimal digits. Do not edit them: other ones are another version of the
//! format.

/// The header of log 1, segment 1, with the state `vote`.
pub(crate) const HEADER: &str = "\
    51525457414c0d0a 0100000004000000 0100000000000000 0100000000000000 0100000000000000 \
    0100000000000000 afcd1d7b00000000 8c4dd4ee0b6cb032 766f746500000000";

/// A record `hello` behind it, which does not end its batch.
pub(crate) const HELLO: &str = "\
    4daa804d05000000 1001000000000000 4800000004087598 68656c6c6f000000";

/// A record without bytes, which does.
pub(crate) const EMPTY: &str = "7819364000000000 1102000000000000 48000000afcd1d7b";

/// What `close` writes behind them.
pub(crate) const MARK: &str = "e868f07e00000000 5103000000000000 80000000afcd1d7b";

/// What a roll writes there instead.
pub(crate) const SEAL: &str = "\
    ecac5ee244000000 6103000000000000 8000000002abe23b 0300000000000000 0100000000000000 \
    0000000000000000 ffffffffffffffff 0100000008000000 2174f64f00000000 0100000000000000 \
    0200000001000000 0900000000000000";

/// The end of a sealed segment.
pub(crate) const TRAILER: &str = "8000000000000000 02abe23b81b68c79";

/// The header of the snapshot 2 of log 1, with the meta `meta!`.
pub(crate) const SNAPSHOT: &str = "\
    515254534e500d0a 0100000005000000 0100000000000000 0200000000000000 ed8f01db041a7fce \
    0000000000000000 0000000000000000 00000000edcfc070 6d65746121000000";

/// `hello, world`, and nothing else.
pub(crate) const CHUNK: &str = "\
    0c0000007771386a 68656c6c6f2c2077 6f726c6400000000";

/// The end of the snapshot.
pub(crate) const END_MARK: &str = "\
    0000000089689d4a 0c00000000000000 0100000000000000";
