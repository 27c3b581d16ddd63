//! Reads start rounds as fast as a quorum answers. What else happens must not depend on that.

use std::collections::VecDeque;
use std::time::Duration;

use quorate_consensus::raft::{Appended, Body, Config, Message, Output, Raft, Role};
use quorate_consensus::{Entry, Index, Instant, LogId, Majority, NodeId, Protocol as _};

type Mail = Vec<(NodeId, Message)>;

/// Node 1 leads. Node 2 is near and answers at once; node 3 is as a test wants.
struct Cluster {
    raft: Raft,
    now: Instant,
}

impl Cluster {
    fn new() -> Self {
        let voters = Majority::new((1..=3).map(NodeId)).expect("there are nodes");
        let raft = Raft::new(Config::new(NodeId(1), voters), 1, Instant::default());
        let mut cluster =
            Self { raft: raft.expect("the configuration is good"), now: Instant::default() };
        cluster.wait(cluster.raft.poll_timeout().expect("a follower waits for its leader"));
        for is_pre_vote in [true, false] {
            cluster.drain();
            cluster.hear(NodeId(2), Body::Vote { is_pre_vote, granted: true });
        }
        assert_eq!(cluster.raft.status().role, Role::Leader);
        cluster
    }

    fn wait(&mut self, until: Instant) {
        self.now = until;
        self.raft.handle_timeout(until);
    }

    fn hear(&mut self, from: NodeId, body: Body) {
        let term = self.raft.status().term;
        self.raft.handle_message(self.now, from, Message { term, body });
    }

    fn drain(&mut self) -> Mail {
        let mut sent = Vec::new();
        while let Some(output) = self.raft.poll_output() {
            match output {
                Output::Persist { write, .. } => self.raft.handle_persisted(self.now, write),
                Output::Send { to, message } => sent.push((to, message)),
                Output::Fetch { .. } | Output::Deliver(_) | Output::Event(_) => {}
            }
        }
        sent
    }

    /// Lets node 2 answer until there is nothing more to say, and returns what is for node 3.
    fn settle(&mut self) -> Vec<Body> {
        let mut far = Vec::new();
        loop {
            let sent = self.drain();
            if sent.is_empty() {
                return far;
            }
            for (to, message) in sent {
                if to != NodeId(2) {
                    far.push(message.body);
                } else if let Some(body) = answer(message.body, self.raft.status().last_index) {
                    self.hear(to, body);
                }
            }
        }
    }
}

/// What a follower says that has everything up to `held`.
fn answer(body: Body, held: Index) -> Option<Body> {
    match body {
        Body::Beat { round, .. } => Some(Body::BeatReply { round, received: held, matched: held }),
        Body::Append { round, previous, entries, .. } if previous.index <= held => {
            let last = entries.last().map_or(previous.index, |last| last.index);
            Some(Body::AppendReply { round, result: Appended::Matched(last) })
        }
        Body::Append { round, previous, .. } => {
            let hint = LogId { index: held, term: previous.term };
            let result = Appended::Rejected { previous: previous.index, hint };
            Some(Body::AppendReply { round, result })
        }
        _ => None,
    }
}

#[test]
fn reads_send_an_absent_follower_nothing_again() {
    let mut cluster = Cluster::new();
    cluster.settle();
    for _ in 0..40 {
        cluster.raft.propose(cluster.now, vec![7; 100_000].into()).expect("there is room");
    }
    cluster.settle();
    assert_eq!(cluster.raft.status().commit_index, Index(41), "node 2 has it all");
    let mut appends = 0;
    for _ in 0..100 {
        cluster.raft.read(cluster.now).expect("it leads");
        let sent = cluster.settle();
        appends += sent.iter().filter(|body| matches!(body, Body::Append { .. })).count();
    }
    assert!(appends <= 1, "100 reads, no time has passed, and {appends} appends");
}

#[test]
fn a_loss_far_away_is_found_beside_reads() {
    let mut cluster = Cluster::new();
    let mut far: VecDeque<(u64, Body)> = VecDeque::new();
    let mut held = Index::ZERO;
    for step in 0..4000 {
        if step == 1000 {
            cluster.raft.propose(cluster.now, "x".into()).expect("there is room");
        }
        cluster.raft.read(cluster.now).expect("it leads");
        for body in cluster.settle() {
            let is_lost = step == 1000 && matches!(body, Body::Append { .. });
            if !is_lost {
                far.push_back((step + 100, body));
            }
        }
        while far.front().is_some_and(|(at, _)| *at <= step)
            && let Some((_, body)) = far.pop_front()
        {
            if let Body::Append { previous, entries, .. } = &body
                && previous.index <= held
            {
                held = entries.last().map_or(held, |last: &Entry| last.index.max(held));
            }
            answer(body, held).into_iter().for_each(|body| cluster.hear(NodeId(3), body));
        }
        cluster.wait(cluster.now + Duration::from_millis(1));
    }
    assert_eq!(held, cluster.raft.status().last_index, "3 s after the loss");
}
