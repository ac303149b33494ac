// SPDX-License-Identifier: BSD-2-Clause
//! Readers beside the writer, with grace periods of `Epochs` and of an `Rcu` that defers.

#![deny(unsafe_op_in_unsafe_fn)]

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{mpsc, Arc, Barrier, Mutex};
use std::thread;
use tidemark::{Deferred, Epochs, Flags, Mapping, Options, Policy, Rcu, Section, Snapshot, Tree};

const PAGES: u64 = 64;

/// How many versions, more for a longer run.
fn versions() -> u64 {
    std::env::var("TIDEMARK_TEST_VERSIONS").map_or(60, |versions| versions.parse().unwrap())
}

fn range_of(page: u64) -> std::ops::RangeInclusive<u64> {
    page << 20..=(page << 20) + 0xfff
}

/// One that defers, as those that programs have: calls are run by a thread of its own.
struct Deferring {
    epochs: Arc<Epochs>,
    queue: Mutex<mpsc::Sender<Message>>,
}

enum Message {
    Run(Deferred),
    Done(mpsc::Sender<()>),
}

impl Deferring {
    fn new() -> Deferring {
        let epochs = Arc::new(Epochs::new());
        let (queue, messages) = mpsc::channel();
        let of_thread = epochs.clone();
        thread::spawn(move || {
            for message in messages {
                match message {
                    Message::Run(call) => {
                        of_thread.synchronize();
                        // SAFETY: the grace period is over.
                        unsafe { call.run() };
                    }
                    Message::Done(done) => done.send(()).unwrap(),
                }
            }
        });
        Deferring { epochs, queue: Mutex::new(queue) }
    }

    fn send(&self, message: Message) {
        self.queue.lock().unwrap().send(message).unwrap();
    }
}

// SAFETY: sections and grace periods are those of Epochs; the thread runs each call once, in turn.
unsafe impl Rcu for Deferring {
    type Section = Section;
    const DEFERS: bool = true;
    unsafe fn enter(&self) -> Section {
        // SAFETY: as promised by the caller, for the Epochs live as long as this.
        unsafe { self.epochs.enter() }
    }
    fn synchronize(&self) {
        self.epochs.synchronize();
    }
    fn defer(&self, call: Deferred) {
        self.send(Message::Run(call));
    }
    fn barrier(&self) {
        let (done, wait) = mpsc::channel();
        self.send(Message::Done(done));
        wait.recv().unwrap();
    }
    fn read_ongoing(&self) -> Option<bool> {
        self.epochs.read_ongoing()
    }
}

/// Every page always has one of the versions, as its target; a version lives until nobody can use it.
/// Returns the number of answers.
fn readers_beside_a_writer<R: Rcu>(rcu: Arc<R>) -> usize {
    let mut tree = Options::new().build_with(rcu).unwrap();
    let versions = versions();
    let alive: Vec<_> = (0..=versions).map(|_| AtomicBool::new(true)).collect();
    let (alive, begun, over) = (&alive, &AtomicU64::new(0), &AtomicBool::new(false));
    for page in 0..PAGES {
        tree.map(&Mapping::new(range_of(page), 0, Flags::READ)).unwrap();
    }
    let (snapshots, taken) = mpsc::channel::<(u64, Snapshot<R>)>();
    let (answers, ready) = (&AtomicUsize::new(0), &Barrier::new(3));

    thread::scope(|scope| {
        for number in 0..2u64 {
            let reader = tree.reader();
            scope.spawn(move || {
                let mut seen = [0u64; PAGES as usize];
                let mut chance = number + 1;
                let mut count = 0;
                ready.wait();
                loop {
                    let guard = reader.enter();
                    let mut cursor = guard.cursor();
                    for _ in 0..32 {
                        chance = chance.wrapping_mul(6364136223846793005).wrapping_add(1);
                        let page = (chance >> 33) % PAGES;
                        let address = range_of(page).start() + (chance >> 50) % 0x1000;
                        let mapping = if chance >> 63 == 0 {
                            guard.lookup(address)
                        } else {
                            cursor.lookup(address)
                        };
                        let version = mapping.expect("a page is never without a version").target;
                        let seen = &mut seen[page as usize];
                        assert!(version >= *seen, "went back from {seen} to {version}");
                        assert!(version <= begun.load(Ordering::SeqCst), "is not there yet");
                        assert!(alive[version as usize].load(Ordering::SeqCst), "is freed");
                        *seen = version;
                        count += 1;
                    }
                    let walk: Vec<_> = guard.overlaps(0..=u64::MAX).collect();
                    assert!(walk.windows(2).all(|two| two[0].last < two[1].start));
                    for mapping in walk {
                        assert!(alive[mapping.target as usize].load(Ordering::SeqCst));
                    }
                    drop(guard);
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    // Who loses the processor in a section keeps the writer waiting.
                    thread::yield_now();
                }
                answers.fetch_add(count, Ordering::Relaxed);
            });
        }
        scope.spawn(move || {
            for (version, snapshot) in taken {
                assert!(snapshot.overlaps(0..=u64::MAX).all(|m| m.target == version));
                assert_eq!(snapshot.stats().mappings, PAGES);
                snapshot.check().unwrap();
            }
        });
        ready.wait();
        for version in 1..=versions {
            begun.store(version, Ordering::SeqCst);
            if version % 2 == 0 {
                for page in 0..PAGES {
                    tree.replace(&Mapping::new(range_of(page), version, Flags::READ)).unwrap();
                }
            } else {
                let mut txn = tree.begin().unwrap();
                txn.unmap(0..=u64::MAX, Policy::Split).unwrap();
                for page in 0..PAGES {
                    txn.map(&Mapping::new(range_of(page), version, Flags::READ)).unwrap();
                }
                txn.commit();
            }
            if version % 10 == 0 {
                snapshots.send((version, tree.snapshot().unwrap())).unwrap();
            }
            tree.synchronize().unwrap();
            alive[version as usize - 1].store(false, Ordering::SeqCst);
        }
        over.store(true, Ordering::Relaxed);
        drop(snapshots);
    });
    tree.barrier().unwrap();
    assert_eq!(tree.stats().retired_nodes, 0);
    tree.check().unwrap();
    answers.load(Ordering::Relaxed)
}

#[test]
fn readers_see_no_hole_nothing_old_and_nothing_freed() {
    let answers = readers_beside_a_writer(Arc::new(Epochs::new()));
    println!("{answers} answers");
    assert!(answers > 0);
}

#[test]
fn an_rcu_that_defers_serves_as_well() {
    assert!(readers_beside_a_writer(Arc::new(Deferring::new())) > 0);
}

/// The check of the test above is alive: who frees without waiting is seen by a reader.
#[test]
fn what_is_freed_without_a_grace_period_is_seen() {
    let mut tree = Tree::new().unwrap();
    tree.map(&Mapping::new(0..=0xfff, 0, Flags::READ)).unwrap();
    let reader = tree.reader();
    let alive = &AtomicBool::new(true);
    let ((found, wait_found), (freed, wait_freed)) = (mpsc::channel(), mpsc::channel());
    thread::scope(|scope| {
        let seen = scope.spawn(move || {
            let guard = reader.enter();
            let mapping = guard.lookup(5).unwrap();
            found.send(()).unwrap();
            wait_freed.recv().unwrap();
            assert_eq!(mapping.target, 0);
            !alive.load(Ordering::SeqCst)
        });
        wait_found.recv().unwrap();
        tree.unmap(0..=0xfff, Policy::Exact).unwrap();
        alive.store(false, Ordering::SeqCst); // without tree.synchronize()
        freed.send(()).unwrap();
        assert!(seen.join().unwrap());
    });
}
