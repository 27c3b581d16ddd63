//! How fast frames are made and taken apart. The checksum dominates, then the copy in or out of the
//! buffer that a socket would share. No socket is measured.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use quorate_transport::{Decoder, Frame};

fn frame(c: &mut Criterion) {
    let mut group = c.benchmark_group("transport/frame");
    for body_bytes in [64, 4 << 10, 64 << 10] {
        let frame = Frame::Message(Bytes::from(vec![7; body_bytes]));
        group.throughput(Throughput::Bytes(body_bytes as u64));

        let mut out = BytesMut::new();
        group.bench_function(BenchmarkId::new("encode", body_bytes), |b| {
            b.iter(|| {
                out.clear();
                black_box(&frame).encode(&mut out);
            });
        });

        let mut decoder = Decoder::new(1 << 20);
        out.clear();
        frame.encode(&mut out);
        group.bench_function(BenchmarkId::new("decode", body_bytes), |b| {
            b.iter(|| {
                decoder.buffer().extend_from_slice(black_box(&out));
                decoder.next_frame().unwrap().unwrap()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, frame);
criterion_main!(benches);
