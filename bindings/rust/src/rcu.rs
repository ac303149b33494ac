// SPDX-License-Identifier: BSD-2-Clause
//! Grace periods: the interface to the caller's, and one in std alone.

use crate::sys;
use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::os::raw::c_void;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{fence, AtomicUsize, Ordering};
use std::sync::Mutex;
use std::{process, thread};

/// A way to know that readers are gone: [`Epochs`], or one that the program has already.
///
/// # Safety
///
/// Memory is freed by what an implementation says. It has to hold that
///
/// * when `synchronize` returns, each section that was entered before it was called has been
///   dropped; what its thread did before the drop happens before the return, and a section entered
///   later sees all that the caller did before the call;
/// * if `DEFERS`, the same of `defer` and the time when the call is run; each call is run, once, and
///   not from inside `defer`; `barrier` returns when those handed over before have returned;
/// * `read_ongoing` does not say `Some(false)` inside a section of the calling thread.
///
/// A panic from one of them ends the process where the library has called it.
pub unsafe trait Rcu: Send + Sync + 'static {
    /// An open section. It ends when this is dropped, which is in the thread that has entered it.
    type Section;

    /// Whether there is a `defer`. Without, the library waits with `synchronize` at times.
    const DEFERS: bool = false;

    /// Begin a read-side section. They nest.
    ///
    /// # Safety
    ///
    /// The section has to be dropped before `self` is moved or dropped, by the same thread.
    unsafe fn enter(&self) -> Self::Section;

    /// Wait for a grace period.
    fn synchronize(&self);

    /// Run a call after a grace period.
    fn defer(&self, call: Deferred) {
        let _ = call;
        unreachable!("an Rcu that DEFERS has a defer of its own");
    }

    /// Wait until all calls handed to `defer` before have been run.
    fn barrier(&self) {
        unreachable!("an Rcu that DEFERS has a barrier of its own");
    }

    /// Whether the calling thread is inside a section, if that is known. Writes from there are then
    /// refused, which else may wait for themselves.
    fn read_ongoing(&self) -> Option<bool> {
        None
    }
}

/// What is to be run after a grace period. Dropped without being run, memory is never freed and the
/// next barrier may wait for ever.
#[derive(Debug)]
pub struct Deferred(*mut sys::tide_rcu_head);

// SAFETY: the library lets it be run by any thread.
unsafe impl Send for Deferred {}

impl Deferred {
    /// Run it.
    ///
    /// # Safety
    ///
    /// The grace period that it was to wait for is over.
    pub unsafe fn run(self) {
        // SAFETY: the library handed the head over until it is run, which `self` allows once.
        unsafe {
            if let Some(run) = (*self.0).run {
                run(self.0);
            }
        }
    }
}

/// Rust must not unwind into C.
fn or_abort<T>(call: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| process::abort())
}

/// The table of C for an RCU at an address that is the context.
pub(crate) fn table<R: Rcu>(rcu: &R) -> sys::tide_rcu {
    // In these, `context` is the RCU, which the tree's owner keeps for as long as the tree.
    unsafe extern "C" fn defer<R: Rcu>(context: *mut c_void, head: *mut sys::tide_rcu_head) {
        // SAFETY: see above.
        let rcu = unsafe { &*context.cast::<R>() };
        or_abort(|| rcu.defer(Deferred(head)));
    }
    unsafe extern "C" fn synchronize<R: Rcu>(context: *mut c_void) {
        // SAFETY: see above.
        let rcu = unsafe { &*context.cast::<R>() };
        or_abort(|| rcu.synchronize());
    }
    unsafe extern "C" fn barrier<R: Rcu>(context: *mut c_void) {
        // SAFETY: see above.
        let rcu = unsafe { &*context.cast::<R>() };
        or_abort(|| rcu.barrier());
    }
    unsafe extern "C" fn read_ongoing<R: Rcu>(context: *mut c_void) -> bool {
        // SAFETY: see above.
        let rcu = unsafe { &*context.cast::<R>() };
        or_abort(|| rcu.read_ongoing().unwrap_or(true)) // true is never held against anybody
    }
    sys::tide_rcu {
        defer: if R::DEFERS { Some(defer::<R>) } else { None },
        synchronize: Some(synchronize::<R>),
        barrier: if R::DEFERS { Some(barrier::<R>) } else { None },
        context: (rcu as *const R as *mut R).cast(),
        read_ongoing: Some(read_ongoing::<R>),
    }
}

const SHARDS: usize = 32;

/// Sections counted by threads that rarely share a cache line.
#[repr(align(128))]
#[derive(Default)]
struct Shard {
    open: [AtomicUsize; 2],
}

/// Grace periods in std alone: two counters of open sections in each of 32 shards, and which of the
/// two is in use.
///
/// To enter a section costs an atomic addition to a line that the threads of a shard share, and to
/// leave it another. A grace period looks at 64 counters until it has seen each at zero.
///
/// # Why it is right
///
/// *Safety.* A section that is open when [`synchronize`](Rcu::synchronize) is called has added one to
/// some counter, and keeps it above zero until it ends. `synchronize` has seen every counter at zero
/// at some time after the call, this one too, so the section has ended. The other case is a section
/// whose addition `synchronize` did not see: between the addition and the section's first load lies
/// a fence, and between what the writer stored before and the first look at the counters another.
/// Of the two fences one is first. If that of the reader, the writer sees the addition; if that of
/// the writer, the reader sees what the writer stored, and so nothing of what was unlinked. Which
/// counter of the two a section is in plays no part.
///
/// *Progress.* New sections use the other counter, so that the one that is waited for drains. Then
/// they change places. A thread that has read the index and not yet added is late by one section at
/// the most, so no stream of sections makes `synchronize` wait for ever; a section that is never left
/// does.
///
/// *Ordering.* The end of a section is a release, the load of zero an acquire (additions of others in
/// between continue its release sequence): what readers did happens before what is freed.
pub struct Epochs {
    shards: [Shard; SHARDS],
    index: AtomicUsize,
    one_at_a_time: Mutex<()>,
}

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static THREAD: Cell<usize> = const { Cell::new(usize::MAX) };
    /// Addresses of what this thread is in sections of.
    static OPEN: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

impl Epochs {
    /// One for a tree, or for several; of which then each waits for the readers of all.
    pub fn new() -> Epochs {
        Epochs {
            shards: Default::default(),
            index: AtomicUsize::new(0),
            one_at_a_time: Mutex::new(()),
        }
    }

    fn shard(&self) -> &Shard {
        let number = THREAD.with(|thread| {
            if thread.get() == usize::MAX {
                thread.set(THREADS.fetch_add(1, Ordering::Relaxed) % SHARDS);
            }
            thread.get()
        });
        &self.shards[number]
    }
}

impl Default for Epochs {
    fn default() -> Epochs {
        Epochs::new()
    }
}

impl std::fmt::Debug for Epochs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Epochs").finish_non_exhaustive()
    }
}

/// An open section of [`Epochs`].
#[derive(Debug)]
pub struct Section {
    open: *const AtomicUsize,
    owner: usize,
}

impl Drop for Section {
    fn drop(&mut self) {
        // Gone already where a thread that ends drops its thread-local data.
        let _ = OPEN.try_with(|open| {
            let mut open = open.borrow_mut();
            if let Some(at) = open.iter().rposition(|&owner| owner == self.owner) {
                open.swap_remove(at);
            }
        });
        // SAFETY: whoever entered drops the section before the Epochs.
        let open = unsafe { &*self.open };
        // Release: what this thread read comes before; pairs with the acquire of synchronize.
        open.fetch_sub(1, Ordering::Release);
    }
}

// SAFETY: argued at Epochs; read_ongoing knows of the thread's own sections, or says nothing.
unsafe impl Rcu for Epochs {
    type Section = Section;

    unsafe fn enter(&self) -> Section {
        let owner = self as *const Epochs as usize;
        let _ = OPEN.try_with(|open| open.borrow_mut().push(owner));
        // Relaxed: an old index costs a wait, see Progress.
        let index = self.index.load(Ordering::Relaxed);
        let open = &self.shard().open[index];
        // The addition, then the fence, before any load of the section: pairs with the fence of
        // synchronize. Without it: synchronize sees 0, and this thread what was unlinked before.
        open.fetch_add(1, Ordering::SeqCst);
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        std::sync::atomic::compiler_fence(Ordering::SeqCst); // there the addition is a fence
        #[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
        fence(Ordering::SeqCst);
        Section { open, owner }
    }

    fn synchronize(&self) {
        let alone = self.one_at_a_time.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        fence(Ordering::SeqCst); // pairs with that of enter
        for _ in 0..2 {
            let index = self.index.load(Ordering::Relaxed);
            self.index.store(1 - index, Ordering::Relaxed);
            for shard in &self.shards {
                let mut looks = 0u32;
                // Acquire: pairs with the release of Section::drop.
                while shard.open[index].load(Ordering::Acquire) != 0 {
                    looks += 1;
                    if looks < 64 {
                        std::hint::spin_loop();
                    } else if looks < 1024 {
                        thread::yield_now();
                    } else {
                        thread::sleep(std::time::Duration::from_micros(50));
                    }
                }
            }
        }
        fence(Ordering::SeqCst); // a section entered from now on sees what is done from now on
        drop(alone);
    }

    fn read_ongoing(&self) -> Option<bool> {
        let owner = self as *const Epochs as usize;
        OPEN.try_with(|open| open.borrow().contains(&owner)).ok()
    }
}

/// A section that ends with it, of an RCU that is borrowed.
pub(crate) struct Entered<'a, R: Rcu> {
    section: ManuallyDrop<R::Section>,
    _rcu: &'a R,
    _thread: std::marker::PhantomData<*mut ()>,
}

impl<'a, R: Rcu> Entered<'a, R> {
    pub(crate) fn new(rcu: &'a R) -> Entered<'a, R> {
        // SAFETY: the RCU is borrowed for as long as this lives, and no other thread gets it.
        let section = ManuallyDrop::new(unsafe { rcu.enter() });
        Entered { section, _rcu: rcu, _thread: std::marker::PhantomData }
    }
}

impl<R: Rcu> Drop for Entered<'_, R> {
    fn drop(&mut self) {
        // SAFETY: here alone, once.
        unsafe { ManuallyDrop::drop(&mut self.section) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;
    use std::sync::{mpsc, Arc};

    /// Does not wait: what the tests have to notice.
    struct Hasty(Epochs);

    // SAFETY: it is none; no memory is freed by it here.
    unsafe impl Rcu for Hasty {
        type Section = Section;
        unsafe fn enter(&self) -> Section {
            // SAFETY: as promised by the caller.
            unsafe { self.0.enter() }
        }
        fn synchronize(&self) {}
    }

    /// Whether synchronize has returned before a section that was open was left.
    fn returns_early<R: Rcu>(rcu: R, patience: usize) -> bool {
        let (rcu, returned) = (Arc::new(rcu), Arc::new(AtomicBool::new(false)));
        let (entered, inside) = mpsc::channel();
        let waiter = {
            let (rcu, returned) = (rcu.clone(), returned.clone());
            thread::spawn(move || {
                inside.recv().unwrap();
                rcu.synchronize();
                returned.store(true, Ordering::SeqCst);
            })
        };
        let section = Entered::new(&*rcu);
        entered.send(()).unwrap();
        let mut early = false;
        for _ in 0..patience {
            early |= returned.load(Ordering::SeqCst);
            if early {
                break;
            }
            thread::yield_now();
        }
        drop(section);
        waiter.join().unwrap();
        early
    }

    #[test]
    fn synchronize_waits_for_a_section_that_is_open() {
        assert!(!returns_early(Epochs::new(), 20_000));
    }

    #[test]
    fn one_that_does_not_wait_is_noticed() {
        assert!(returns_early(Hasty(Epochs::new()), usize::MAX));
    }

    #[test]
    fn synchronize_does_not_wait_for_sections_of_others() {
        let (one, other) = (Epochs::new(), Epochs::new());
        let section = Entered::new(&one);
        other.synchronize();
        assert_eq!(one.read_ongoing(), Some(true));
        assert_eq!(other.read_ongoing(), Some(false));
        drop(section);
        one.synchronize();
    }

    #[test]
    fn sections_nest_and_end_in_any_order() {
        let epochs = Epochs::new();
        let outer = Entered::new(&epochs);
        let inner = Entered::new(&epochs);
        drop(outer);
        assert_eq!(epochs.read_ongoing(), Some(true));
        drop(inner);
        assert_eq!(epochs.read_ongoing(), Some(false));
        epochs.synchronize();
    }

    /// Slots that are live, or unlinked and, after a grace period, dead. Returns how often a reader
    /// has found a dead one.
    fn deaths_seen<R: Rcu>(rcu: R, rounds: usize, stop_at_first: bool) -> usize {
        const SLOTS: usize = 4;
        let rcu = &rcu;
        let dead: &[AtomicBool; SLOTS] = &Default::default();
        let (current, over, seen) =
            (&AtomicUsize::new(0), &AtomicBool::new(false), &AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(move || {
                    while !over.load(Ordering::Relaxed) {
                        let section = Entered::new(rcu);
                        let slot = current.load(Ordering::Acquire);
                        for _ in 0..20 {
                            if dead[slot].load(Ordering::Relaxed) {
                                seen.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                        thread::yield_now();
                        if dead[slot].load(Ordering::Relaxed) {
                            seen.fetch_add(1, Ordering::Relaxed);
                        }
                        drop(section);
                    }
                });
            }
            let mut round = 0;
            while round < rounds && !(stop_at_first && seen.load(Ordering::Relaxed) > 0) {
                let old = current.load(Ordering::Relaxed);
                let new = (old + 1) % SLOTS;
                dead[new].store(false, Ordering::Relaxed);
                current.store(new, Ordering::Release);
                rcu.synchronize();
                dead[old].store(true, Ordering::Relaxed);
                round += 1;
                if stop_at_first {
                    thread::yield_now();
                }
            }
            over.store(true, Ordering::Relaxed);
        });
        seen.load(Ordering::Relaxed)
    }

    #[test]
    fn nobody_sees_what_is_freed_after_a_grace_period() {
        assert_eq!(deaths_seen(Epochs::new(), 300, false), 0);
    }

    #[test]
    fn what_is_freed_without_one_is_seen() {
        assert!(deaths_seen(Hasty(Epochs::new()), usize::MAX, true) > 0);
    }
}
