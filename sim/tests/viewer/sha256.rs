//! What a browser computes of a script before it runs it.
//!
//! Source: NIST, "Secure Hash Standard", FIPS 180-4 (2015), sections 4.1.2, 5.3.3 and 6.2; for the
//! text RFC 4648, section 4.

/// Returns the digest of a text, as a policy writes it.
pub(crate) fn base64(text: &str) -> String {
    let digest = digest(text.as_bytes());
    let mut out = String::new();
    for group in digest.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let index = (bits >> (18 - 6 * place)) & 63;
            let is_there = place <= group.len();
            out.push(if is_there { char::from(LETTERS[index as usize]) } else { '=' });
        }
    }
    out
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    let mut message = bytes.to_vec();
    message.push(0x80);
    message.resize(message.len().next_multiple_of(64), 0);
    if message.len() - bytes.len() < 9 {
        message.resize(message.len() + 64, 0);
    }
    let end = message.len() - 8;
    message[end..].copy_from_slice(&(8 * bytes.len() as u64).to_be_bytes());
    let primes: Vec<u64> = (2..).filter(|it| (2..*it).all(|by| it % by != 0)).take(64).collect();
    let constant = |at: usize| root(primes[at], 3);
    let mut state: [u32; 8] = std::array::from_fn(|at| root(primes[at], 2));
    for block in message.chunks(64) {
        let mut words: Vec<u32> = block
            .chunks(4)
            .map(|it| u32::from_be_bytes(it.try_into().expect("four bytes")))
            .collect();
        for at in 16..64 {
            let (x, y) = (words[at - 15], words[at - 2]);
            let x = x.rotate_right(7) ^ x.rotate_right(18) ^ (x >> 3);
            let y = y.rotate_right(17) ^ y.rotate_right(19) ^ (y >> 10);
            let sum = words[at - 16].wrapping_add(x).wrapping_add(words[at - 7]).wrapping_add(y);
            words.push(sum);
        }
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = state;
        for (at, word) in words.iter().enumerate() {
            let s = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
            let choice = (e & f) ^ (!e & g);
            let one = h.wrapping_add(s).wrapping_add(choice).wrapping_add(constant(at));
            let one = one.wrapping_add(*word);
            let s = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
            let two = s.wrapping_add((a & b) ^ (a & c) ^ (b & c));
            (h, g, f, e, d, c, b, a) =
                (g, f, e, d.wrapping_add(one), c, b, a, one.wrapping_add(two));
        }
        for (old, new) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
            *old = old.wrapping_add(new);
        }
    }
    let mut digest = [0; 32];
    for (to, from) in digest.chunks_mut(4).zip(state) {
        to.copy_from_slice(&from.to_be_bytes());
    }
    digest
}

/// Returns the first 32 bits of the fraction of a number's root.
fn root(number: u64, power: u32) -> u32 {
    let scaled = u128::from(number) << (32 * power);
    let (mut low, mut high) = (0_u128, 1 << 40);
    while low + 1 < high {
        let middle = low.midpoint(high);
        if middle.pow(power) <= scaled { low = middle } else { high = middle }
    }
    (low & 0xffff_ffff) as u32
}

#[test]
fn it_is_the_digest_of_the_standard() {
    assert_eq!(base64("abc"), "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
    assert_eq!(base64(""), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
}

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
