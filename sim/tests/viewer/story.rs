//! A story to look at: five nodes, a partition, and a read that should not have been answered.

use quorate_sim::Recording;

use quorate_sim::recording::{Event, Kind, Why};

/// What is written down of it.
pub(crate) struct Story {
    recording: Recording,
    now: u64,
    next: u64,
}

impl Story {
    /// Advances the time by `micros`.
    fn wait(&mut self, micros: u64) -> &mut Self {
        self.now += micros * 1_000;
        self
    }

    fn at(&mut self, node: u64, kind: Kind) -> &mut Self {
        self.recording.push(Event::new(self.now, node, kind));
        self
    }

    /// Sends a message that takes `micros`. The clock stays where it is.
    fn send(&mut self, from: u64, to: u64, (class, text): (&str, &str), micros: u64) -> &mut Self {
        self.next += 1;
        let (id, class, text) = (self.next, class.to_owned(), text.to_owned());
        let kind = Kind::Send { id, to, class: class.clone(), text: text.clone() };
        self.at(from, kind);
        let later = self.now + micros * 1_000;
        self.recording.push(Event::new(later, to, Kind::Recv { id, from, class, text }));
        self
    }

    fn lose(&mut self, from: u64, to: u64, (class, text): (&str, &str), why: Why) -> &mut Self {
        self.next += 1;
        let (id, class, text) = (self.next, class.to_owned(), text.to_owned());
        let kind = Kind::Send { id, to, class: class.clone(), text: text.clone() };
        self.at(from, kind);
        let later = self.now + 300_000;
        let kind = Kind::Lost { id, to, class, text, why };
        self.recording.push(Event::new(later, from, kind));
        self
    }

    fn persist(&mut self, node: u64, what: &str, micros: u64) -> &mut Self {
        self.next += 1;
        let (id, text) = (self.next, what.to_owned());
        self.at(node, Kind::Persist { id, text: text.clone() });
        let later = self.now + micros * 1_000;
        self.recording.push(Event::new(later, node, Kind::Durable { id, text }));
        self
    }

    fn badge(&mut self, node: u64, role: &str, number: u64) -> &mut Self {
        self.at(node, Kind::Badge { role: role.to_owned(), number })
    }

    fn client(&mut self, kind: Kind) -> &mut Self {
        self.recording.push(Event::new(self.now, None, kind));
        self
    }

    fn fault(&mut self, id: u64, family: &str, nodes: &[u64], micros: u64) -> &mut Self {
        let (from, until) = (self.now, Some(self.now + micros * 1_000));
        let (family, nodes) = (family.to_owned(), nodes.to_vec());
        let text = format!("{micros} us");
        self.client(Kind::Fault { id, family, nodes, from, until, text })
    }

    fn replicate(&mut self, leader: u64, term: u64, entry: u64, to: &[(u64, u64)]) -> &mut Self {
        let append = format!("Append term {term} entry {entry}");
        let yes = format!("Yes term {term} match {entry}");
        self.persist(leader, &format!("entry {entry}"), 900);
        for (peer, micros) in to {
            self.send(leader, *peer, ("Append", &append), *micros).wait(40);
        }
        let sent = self.now;
        for (peer, micros) in to {
            self.now = sent + micros * 1_000 + 100_000;
            self.persist(*peer, &format!("entry {entry}"), 700).wait(720);
            self.send(*peer, leader, ("Yes", &yes), *micros);
        }
        self
    }
}

fn text(text: &str) -> String {
    text.to_owned()
}

/// Returns the story: a leader that is cut off still answers a read.
pub(crate) fn stale_read() -> Recording {
    let plan = serde_json::json!({"loss": "1 %", "partition_every": "10ms", "max_down": 2});
    let mut recording = Recording::new("A leader that is cut off answers a read", 4_711, plan);
    for id in 1..=5 {
        recording = recording.node(id, format!("n{id}"));
    }
    let mut story = Story { recording, now: 0, next: 0 };
    for id in 1..=5 {
        story.at(id, Kind::Boot { text: text("an empty disk") }).badge(id, "follower", 0).wait(10);
    }
    elect(&mut story);
    let call = text("write x = 1");
    story.client(Kind::Invoke { process: 1, op: 1, text: call }).wait(300);
    story.replicate(1, 1, 1, &[(2, 900), (3, 1_100), (4, 1_400), (5, 1_900)]).wait(1_500);
    story.at(1, Kind::Deliver { text: text("x = 1") });
    story.client(Kind::Ok { process: 1, op: 1, text: text("done") }).wait(900);
    crash_and_pause(&mut story);
    story.wait(800).fault(7, "Split", &[1, 2], 14_000).wait(200);
    for peer in 3..=5 {
        let why = if peer == 5 { Why::Loss } else { Why::Cut };
        story.lose(1, peer, ("Beat", "term 1 commit 1"), why).wait(30);
    }
    story.send(1, 2, ("Beat", "term 1 commit 1"), 800).wait(2_500);
    second_leader(&mut story);
    story.client(Kind::Invoke { process: 3, op: 3, text: text("read x") }).wait(500);
    story.at(1, Kind::Note { text: text("answers from its own state, without a round") });
    story.client(Kind::Ok { process: 3, op: 3, text: text("x = 1") }).wait(60);
    let law = text("linearizability of x");
    let why = "c3 reads 1 after c2 was told that x = 2";
    story.client(Kind::Violation { law, text: text(why) }).wait(400);
    story.lose(1, 3, ("Beat", "term 1 commit 1"), Why::Cut).wait(200);
    story.client(Kind::Invoke { process: 4, op: 4, text: text("write x = 3") }).wait(2_000);
    let kind = Kind::Info { process: 4, op: 4, text: text("no answer in time") };
    story.client(kind).wait(300);
    story.send(1, 2, ("Beat", "term 1 commit 1"), 700).wait(900);
    story.recording.events.sort_by_key(|event| event.at);
    story.recording
}

fn elect(story: &mut Story) {
    story.wait(3_000).at(1, Kind::Timeout { text: text("election") });
    story.badge(1, "candidate", 1).persist(1, "term 1, vote n1", 800).wait(900);
    for (peer, micros) in [(2, 700), (3, 800), (4, 1_000), (5, 1_300)] {
        story.send(1, peer, ("Vote", "Vote term 1 last 0"), micros).wait(30);
    }
    story.wait(1_000);
    for (peer, micros) in [(2, 900), (3, 1_200)] {
        story.badge(peer, "follower", 1).persist(peer, "term 1, vote n1", 600).wait(650);
        story.send(peer, 1, ("Granted", "Granted term 1"), micros);
    }
    story.wait(1_300).at(1, Kind::Event { text: text("leads term 1") }).badge(1, "leader", 1);
    story.wait(300);
}

fn crash_and_pause(story: &mut Story) {
    story.fault(3, "Crash", &[4], 5_000);
    story.at(4, Kind::Crash { text: text("power failure, 2 sectors torn") }).wait(600);
    story.lose(1, 4, ("Beat", "term 1 commit 1"), Why::Dead).wait(60);
    story.send(1, 3, ("Beat", "term 1 commit 1"), 900);
    // A message arrives again.
    let (id, class, again) = (story.next, text("Beat"), text("term 1 commit 1"));
    let later = story.now + 2_300_000;
    story.recording.push(Event::new(later, 3, Kind::Recv { id, from: 1, class, text: again }));
    story.wait(400).fault(4, "Pause", &[5], 3_000).at(5, Kind::Pause { text: text("3ms") });
    story.wait(3_000).at(5, Kind::Resume { text: String::new() }).wait(1_600);
    story.at(4, Kind::Boot { text: text("1 entry on the disk") }).badge(4, "follower", 1);
}

fn second_leader(story: &mut Story) {
    story.at(3, Kind::Timeout { text: text("election") }).badge(3, "candidate", 2);
    story.persist(3, "term 2, vote n3", 600).wait(700);
    story.send(3, 4, ("Vote", "Vote term 2 last 1"), 600).wait(30);
    story.send(3, 5, ("Vote", "Vote term 2 last 1"), 900).wait(30);
    story.lose(3, 1, ("Vote", "Vote term 2 last 1"), Why::Cut).wait(1_000);
    for (peer, micros) in [(4, 700), (5, 900)] {
        story.badge(peer, "follower", 2).persist(peer, "term 2, vote n3", 500).wait(550);
        story.send(peer, 3, ("Granted", "Granted term 2"), micros);
    }
    story.wait(1_000).at(3, Kind::Event { text: text("leads term 2") }).badge(3, "leader", 2);
    story.client(Kind::Invoke { process: 2, op: 2, text: text("write x = 2") }).wait(200);
    story.replicate(3, 2, 2, &[(4, 700), (5, 1_000)]).wait(1_200);
    story.at(3, Kind::Deliver { text: text("x = 2") });
    story.client(Kind::Ok { process: 2, op: 2, text: text("done") }).wait(800);
}
