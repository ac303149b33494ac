// SPDX-License-Identifier: BSD-2-Clause
//! The tree and those who share it: its writer, its readers, transactions, snapshots.

use crate::rcu::{table, Entered};
use crate::types::{bounds, HoleRequest};
use crate::view::{Still, View};
use crate::{sys, Epochs, Error, Flags, Mapping, Policy, Rcu, Unmapped};
use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Deref, RangeInclusive};
use std::os::raw::c_void;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::ptr::{self, NonNull};
use std::sync::Arc;

/// How a tree is made.
#[derive(Clone, Debug)]
#[must_use]
pub struct Options {
    raw: OptionsC,
}

#[derive(Clone, Copy, Debug)]
struct OptionsC {
    first: u64,
    last: u64,
    granule: u64,
    max_mappings: u64,
    max_retired: u64,
    isa: sys::tide_isa,
    indexes: u32,
}

/// The versions of the lookups. The answers are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// The fastest that the machine has.
    Best,
    /// For every machine.
    Plain,
    /// AVX2, BMI1 and BMI2.
    Avx2,
    /// AVX-512F, BMI1 and BMI2.
    Avx512,
}

impl Default for Options {
    fn default() -> Options {
        Options::new()
    }
}

impl Options {
    /// The whole space, granule 1, no limits, no indexes.
    pub fn new() -> Options {
        Options {
            raw: OptionsC {
                first: 0,
                last: u64::MAX,
                granule: 1,
                max_mappings: 0,
                max_retired: 0,
                isa: sys::TIDE_ISA_BEST,
                indexes: 0,
            },
        }
    }

    /// What may be mapped.
    pub fn aperture(mut self, range: RangeInclusive<u64>) -> Options {
        (self.raw.first, self.raw.last) = bounds(&range);
        self
    }

    /// A power of two: ranges of writes begin and end on multiples of it.
    pub fn granule(mut self, granule: u64) -> Options {
        self.raw.granule = granule;
        self
    }

    /// How many mappings there may be; 0: any number. A guest that chooses the addresses needs one.
    pub fn max_mappings(mut self, most: u64) -> Options {
        self.raw.max_mappings = most;
        self
    }

    /// Bytes that wait for a grace period at which a write waits first; 0: the larger of 16 MiB and
    /// the tree.
    pub fn max_retired(mut self, bytes: u64) -> Options {
        self.raw.max_retired = bytes;
        self
    }

    /// What lookups are compiled for.
    pub fn isa(mut self, isa: Isa) -> Options {
        self.raw.isa = match isa {
            Isa::Best => sys::TIDE_ISA_BEST,
            Isa::Plain => sys::TIDE_ISA_PLAIN,
            Isa::Avx2 => sys::TIDE_ISA_AVX2,
            Isa::Avx512 => sys::TIDE_ISA_AVX512,
        };
        self
    }

    /// Keep mappings by target, for [`View::sources`]. Unmapping may then fail for want of memory.
    pub fn index_targets(mut self) -> Options {
        self.raw.indexes |= sys::TIDE_INDEX_TARGETS;
        self
    }

    /// Keep holes by size, for [`View::find_hole`]. Unmapping may then fail for want of memory.
    pub fn index_holes(mut self) -> Options {
        self.raw.indexes |= sys::TIDE_INDEX_HOLES;
        self
    }

    /// An empty tree, with grace periods of its own.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`], [`Error::NotSupported`] where the machine lacks the instructions,
    /// [`Error::OutOfMemory`].
    pub fn build(self) -> Result<Tree, Error> {
        self.build_with(Arc::new(Epochs::new()))
    }

    /// An empty tree, with grace periods of the caller's.
    ///
    /// # Errors
    ///
    /// As [`build`](Options::build).
    pub fn build_with<R: Rcu>(self, rcu: Arc<R>) -> Result<Tree<R>, Error> {
        let OptionsC { first, last, granule, max_mappings, max_retired, isa, indexes } = self.raw;
        let table = table(&*rcu);
        let options = sys::tide_options {
            size: std::mem::size_of::<sys::tide_options>(),
            allocator: ptr::null(),
            rcu: &table,
            first,
            last,
            granule,
            max_mappings,
            max_retired,
            isa,
            indexes,
            trace: ptr::null(),
        };
        let mut raw = ptr::null_mut();
        // SAFETY: tables are copied; the RCU, which is their context, is dropped after the tree.
        Error::check(unsafe { sys::tide_create(&options, &mut raw) })?;
        let shared = Arc::new(Shared { raw: NonNull::new(raw).ok_or(Error::Invalid)?, rcu });
        // SAFETY: all writes borrow the Tree mutably, and what borrows this borrows the Tree.
        Ok(Tree { still: unsafe { Still::new(raw) }, shared })
    }
}

/// What the tree, its readers and its snapshots own together: the last of them destroys it.
struct Shared<R: Rcu> {
    raw: NonNull<sys::tide>,
    rcu: Arc<R>,
}

// SAFETY: the tree is written to through a Tree alone, of which there is one, and asked by others
// inside sections, for which the library is made.
unsafe impl<R: Rcu> Send for Shared<R> {}
// SAFETY: as above.
unsafe impl<R: Rcu> Sync for Shared<R> {}

impl<R: Rcu> Shared<R> {
    /// The tree for a write, which may wait for readers: not for itself.
    fn for_write(&self) -> Result<*mut sys::tide, Error> {
        match self.rcu.read_ongoing() {
            Some(true) => Err(Error::InSection),
            _ => Ok(self.raw.as_ptr()),
        }
    }
}

impl<R: Rcu> Drop for Shared<R> {
    fn drop(&mut self) {
        struct Last<R>(NonNull<sys::tide>, Arc<R>);
        // SAFETY: nobody else has the tree any more.
        unsafe impl<R: Rcu> Send for Last<R> {}
        impl<R> Last<R> {
            fn destroy(self) {
                // SAFETY: this is the last, of the tree that was made by tide_create.
                unsafe { sys::tide_destroy(self.0.as_ptr()) };
                drop(self.1);
            }
        }
        let last = Last(self.raw, self.rcu.clone());
        if self.rcu.read_ongoing() != Some(true) {
            return last.destroy();
        }
        // A thread that is in a section of another tree of this RCU must not wait for itself.
        let _ = std::thread::Builder::new().spawn(move || last.destroy());
    }
}

/// Told of removed pieces from inside a write. A panic has to wait until C has returned.
struct Call<'f> {
    told: &'f mut dyn FnMut(Mapping),
    panic: Option<Box<dyn Any + Send>>,
}

unsafe extern "C" fn told(piece: *const sys::tide_mapping, call: *mut c_void) {
    // SAFETY: the library passes on what calling() gave it, and a valid piece, during the write.
    let (call, piece) = unsafe { (&mut *call.cast::<Call<'_>>(), Mapping::from(*piece)) };
    if call.panic.is_none() {
        call.panic = catch_unwind(AssertUnwindSafe(|| (call.told)(piece))).err();
    }
}

fn calling(
    on_removed: &mut dyn FnMut(Mapping),
    write: impl FnOnce(Option<sys::tide_removed_fn>, *mut c_void) -> i32,
) -> Result<(), Error> {
    let mut call = Call { told: on_removed, panic: None };
    let code = write(Some(told), (&mut call as *mut Call<'_>).cast());
    if let Some(panic) = call.panic {
        resume_unwind(panic);
    }
    Error::check(code)
}

const NO_RESULT: sys::tide_unmap_result =
    sys::tide_unmap_result { mappings: 0, splits: 0, bytes: sys::tide_bytes { low: 0, high: 0 } };

/// An address space, and the right to write to it. By itself it answers all questions of
/// [`View`] and [`Still`], with no section.
///
/// There is one `Tree`, which may go from thread to thread, or into a mutex; other threads ask by a
/// [`Reader`], and never wait for it.
///
/// A write is refused with [`Error::InSection`] while the thread has a [`Guard`] of the tree: it might
/// wait for itself.
pub struct Tree<R: Rcu = Epochs> {
    still: Still,
    shared: Arc<Shared<R>>,
}

// SAFETY: it is the one writer; its questions are asked by the thread that has it.
unsafe impl<R: Rcu> Send for Tree<R> {}

impl<R: Rcu> Deref for Tree<R> {
    type Target = Still;
    fn deref(&self) -> &Still {
        &self.still
    }
}

impl<R: Rcu> fmt::Debug for Tree<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tree").field(&self.still).finish()
    }
}

impl Tree {
    /// An empty tree of the whole space, with grace periods of its own.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfMemory`].
    pub fn new() -> Result<Tree, Error> {
        Options::new().build()
    }
}

impl<R: Rcu> Tree<R> {
    // In all of these: SAFETY is that the Tree is borrowed mutably, so this is the one writer and
    // nobody asks through it; that the thread is in no section; and that pointers are to what is
    // borrowed or lies here.

    /// For another thread, or this one.
    pub fn reader(&self) -> Reader<R> {
        Reader { shared: self.shared.clone() }
    }

    /// Map a range, of which nothing may be mapped.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for no addresses, no access flag, a reserved one, or what is off the
    /// granule, [`Error::OutsideAperture`], [`Error::Exists`], [`Error::NoSpace`],
    /// [`Error::OutOfMemory`], [`Error::InSection`].
    pub fn map(&mut self, mapping: &Mapping) -> Result<(), Error> {
        let raw = self.shared.for_write()?;
        // SAFETY: see above.
        Error::check(unsafe { sys::tide_map(raw, mapping.as_ptr()) })
    }

    /// Find room and map it, in one step. Returns the mapping.
    ///
    /// # Errors
    ///
    /// Those of [`View::find_hole`] and of [`map`](Tree::map).
    pub fn map_anywhere(
        &mut self,
        request: &HoleRequest,
        target: u64,
        flags: Flags,
    ) -> Result<Mapping, Error> {
        let raw = self.shared.for_write()?;
        let mut mapping = Mapping { start: 0, last: 0, target, flags };
        // SAFETY: see above.
        Error::check(unsafe {
            sys::tide_map_anywhere(raw, &request.to_c(), mapping.as_mut_ptr())
        })?;
        Ok(mapping)
    }

    /// Map a range whatever was there: no reader finds a hole, nor some of each.
    ///
    /// # Errors
    ///
    /// Those of [`map`](Tree::map), without [`Error::Exists`].
    pub fn replace(&mut self, mapping: &Mapping) -> Result<(), Error> {
        self.replace_with(mapping, |_| {})
    }

    /// The same, and be told of each displaced piece, in ascending order, while readers may still use
    /// it: see [`synchronize`](Tree::synchronize).
    ///
    /// # Errors
    ///
    /// Those of [`replace`](Tree::replace).
    pub fn replace_with(
        &mut self,
        mapping: &Mapping,
        mut on_removed: impl FnMut(Mapping),
    ) -> Result<(), Error> {
        let raw = self.shared.for_write()?;
        calling(&mut on_removed, |told, call| {
            // SAFETY: see above; `call` outlives the write, after which it is not called any more.
            unsafe { sys::tide_replace(raw, mapping.as_ptr(), told, call) }
        })
    }

    /// Give every mapped address of a range these flags. What sticks out is cut.
    ///
    /// # Errors
    ///
    /// Those of [`map`](Tree::map), without [`Error::Exists`] and [`Error::OutsideAperture`].
    pub fn protect(&mut self, range: RangeInclusive<u64>, flags: Flags) -> Result<(), Error> {
        let raw = self.shared.for_write()?;
        let (start, last) = bounds(&range);
        // SAFETY: see above.
        Error::check(unsafe { sys::tide_protect(raw, start, last, flags.bits()) })
    }

    /// Unmap a range: `0..=u64::MAX` is one as any other.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for no addresses, what is off the granule, or what
    /// [`Policy::Whole`] does not cut; [`Error::NotFound`] by [`Policy::Exact`];
    /// [`Error::NoSpace`] if a cut would pass the entry limit; [`Error::OutOfMemory`] for some cuts,
    /// beside snapshots and with indexes; [`Error::InSection`].
    pub fn unmap(&mut self, range: RangeInclusive<u64>, policy: Policy) -> Result<Unmapped, Error> {
        self.unmap_with(range, policy, |_| {})
    }

    /// The same, and be told of each removed piece, in ascending order, while readers may still use
    /// it: see [`synchronize`](Tree::synchronize). What is told may ask the tree by a [`Reader`].
    ///
    /// # Errors
    ///
    /// Those of [`unmap`](Tree::unmap).
    pub fn unmap_with(
        &mut self,
        range: RangeInclusive<u64>,
        policy: Policy,
        mut on_removed: impl FnMut(Mapping),
    ) -> Result<Unmapped, Error> {
        let raw = self.shared.for_write()?;
        let (start, last) = bounds(&range);
        let mut result = NO_RESULT;
        calling(&mut on_removed, |told, call| {
            // SAFETY: see above; `call` outlives the write, after which it is not called any more.
            unsafe { sys::tide_unmap(raw, start, last, policy.code(), told, call, &mut result) }
        })?;
        Ok(Unmapped::from(result))
    }

    /// Begin a transaction.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfMemory`], [`Error::InSection`], [`Error::Busy`] after one was leaked.
    pub fn begin(&mut self) -> Result<Txn<'_, R>, Error> {
        let raw = self.shared.for_write()?;
        let mut txn = ptr::null_mut();
        // SAFETY: see above.
        Error::check(unsafe { sys::tide_txn_begin(raw, &mut txn) })?;
        // SAFETY: it may be asked until the transaction ends, and so as long as it is borrowed.
        let still = unsafe { Still::new(sys::tide_txn_tree(txn)) };
        Ok(Txn { raw: txn, still, shared: &self.shared, _tree: PhantomData })
    }

    /// The tree of this instant, for as long as it is kept, to be read by any thread with no section.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfMemory`], [`Error::InSection`], [`Error::Busy`] after a transaction was leaked.
    pub fn snapshot(&mut self) -> Result<Snapshot<R>, Error> {
        let raw = self.shared.for_write()?;
        let mut snapshot = ptr::null_mut();
        // SAFETY: see above.
        Error::check(unsafe { sys::tide_snapshot_take(raw, &mut snapshot) })?;
        let raw = NonNull::new(snapshot).ok_or(Error::Invalid)?;
        // SAFETY: nothing writes to a snapshot, which is released when nobody borrows it.
        let still = unsafe { Still::new(sys::tide_snapshot_tree(snapshot)) };
        Ok(Snapshot { raw, still, _shared: self.shared.clone() })
    }

    /// Get the memory for this many changes in advance, so that they don't fail for want of it.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfMemory`], [`Error::InSection`], [`Error::Busy`] after a transaction was leaked.
    pub fn reserve(&mut self, changes: u64) -> Result<(), Error> {
        let raw = self.shared.for_write()?;
        // SAFETY: see above.
        Error::check(unsafe { sys::tide_reserve(raw, changes) })
    }

    /// Wait until every section that is open now has ended: then no reader uses the targets that
    /// were unmapped before, and they may be freed.
    ///
    /// # Errors
    ///
    /// [`Error::InSection`]: it would wait for itself.
    pub fn synchronize(&mut self) -> Result<(), Error> {
        self.shared.for_write()?;
        self.shared.rcu.synchronize();
        Ok(())
    }

    /// Wait until all memory that was retired is free again.
    ///
    /// # Errors
    ///
    /// [`Error::InSection`]: it would wait for itself.
    pub fn barrier(&mut self) -> Result<(), Error> {
        let raw = self.shared.for_write()?;
        // SAFETY: see above.
        unsafe { sys::tide_barrier(raw) };
        Ok(())
    }

    /// The lowest and the highest address ever mapped, since the last reset.
    pub fn ever_mapped(&self) -> Option<RangeInclusive<u64>> {
        let (mut start, mut last) = (0, 0);
        let raw = self.shared.raw.as_ptr();
        // SAFETY: it is the writer that asks.
        let any = unsafe {
            sys::tide_low_watermark_ever(raw, &mut start)
                && sys::tide_high_watermark_ever(raw, &mut last)
        };
        any.then_some(start..=last)
    }

    /// Let [`ever_mapped`](Tree::ever_mapped) begin anew with what is mapped now.
    pub fn reset_ever_mapped(&mut self) {
        // SAFETY: see above; it waits for nobody.
        unsafe { sys::tide_watermarks_reset(self.shared.raw.as_ptr()) };
    }

    /// What lookups are compiled for.
    pub fn isa(&self) -> Isa {
        // SAFETY: the tree is there.
        match unsafe { sys::tide_isa_of(self.shared.raw.as_ptr()) } {
            sys::TIDE_ISA_AVX2 => Isa::Avx2,
            sys::TIDE_ISA_AVX512 => Isa::Avx512,
            _ => Isa::Plain,
        }
    }
}

/// The right to ask a tree that another thread writes to. Clones are cheap, and may be shared.
pub struct Reader<R: Rcu = Epochs> {
    shared: Arc<Shared<R>>,
}

impl<R: Rcu> Clone for Reader<R> {
    fn clone(&self) -> Reader<R> {
        Reader { shared: self.shared.clone() }
    }
}

impl<R: Rcu> fmt::Debug for Reader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reader").field(&*self.enter()).finish()
    }
}

impl<R: Rcu> Reader<R> {
    /// Begin a read-side section, which ends with the guard. Never waits.
    pub fn enter(&self) -> Guard<'_, R> {
        let section = Entered::new(&*self.shared.rcu);
        // SAFETY: it is reached by the guard alone, and so inside the section.
        let view = unsafe { View::new(self.shared.raw.as_ptr()) };
        Guard { view, _section: section }
    }

    /// [`View::lookup`] in a section of its own. By the time of the return the target may be gone, if
    /// the writer frees what it unmaps: who is going to use it enters first.
    pub fn lookup(&self, address: u64) -> Option<Mapping> {
        self.enter().lookup(address)
    }
}

/// A read-side section: while there is one, what readers are told of is not freed by a writer that
/// [waits](Tree::synchronize). It answers all questions of [`View`].
///
/// A guard can't leave its thread, and nothing that borrows it can outlive it:
///
/// ```compile_fail,E0597
/// # use tidemark::Tree;
/// let mut tree = Tree::new().unwrap();
/// let reader = tree.reader();
/// let overlaps = {
///     let guard = reader.enter();
///     guard.overlaps(0..=u64::MAX)
/// };
/// overlaps.count();
/// ```
///
/// ```compile_fail,E0277
/// # use tidemark::Tree;
/// let mut tree = Tree::new().unwrap();
/// let reader = tree.reader();
/// let guard = reader.enter();
/// std::thread::scope(|scope| {
///     scope.spawn(|| guard.lookup(0));
/// });
/// ```
pub struct Guard<'r, R: Rcu = Epochs> {
    view: View,
    _section: Entered<'r, R>,
}

impl<R: Rcu> Deref for Guard<'_, R> {
    type Target = View;
    fn deref(&self) -> &View {
        &self.view
    }
}

impl<R: Rcu> fmt::Debug for Guard<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Guard").field(&self.view).finish()
    }
}

/// Several changes that readers see at one instant, or not at all. Dropped without a
/// [`commit`](Txn::commit), it leaves no trace.
///
/// It answers all questions of [`View`] and [`Still`], by what the tree would be after a commit now.
/// An error of one of the changes has changed nothing of the transaction, which may go on.
///
/// # Panics
///
/// The drop panics where the thread has a [`Guard`] of the tree, unless it is panicking already: it
/// would wait for itself.
///
/// While there is one, the tree can't be written to by another way:
///
/// ```compile_fail,E0499
/// # use tidemark::{Flags, Mapping, Tree};
/// let mut tree = Tree::new().unwrap();
/// let txn = tree.begin().unwrap();
/// tree.map(&Mapping::new(0..=0xfff, 0, Flags::READ)).unwrap();
/// txn.commit();
/// ```
pub struct Txn<'t, R: Rcu = Epochs> {
    raw: *mut sys::tide_txn,
    still: Still,
    shared: &'t Shared<R>,
    _tree: PhantomData<&'t mut Tree<R>>,
}

impl<R: Rcu> Deref for Txn<'_, R> {
    type Target = Still;
    fn deref(&self) -> &Still {
        &self.still
    }
}

impl<R: Rcu> fmt::Debug for Txn<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Txn").field(&self.still).finish()
    }
}

impl<R: Rcu> Txn<'_, R> {
    // In all of these: SAFETY is that the Txn is borrowed mutably, and by it the Tree, so this is
    // the one writer, and that pointers are to what is borrowed or lies here.

    /// [`Tree::map`] in it.
    ///
    /// # Errors
    ///
    /// Those of its namesake.
    pub fn map(&mut self, mapping: &Mapping) -> Result<(), Error> {
        self.shared.for_write()?;
        // SAFETY: see above.
        Error::check(unsafe { sys::tide_txn_map(self.raw, mapping.as_ptr()) })
    }

    /// [`Tree::map_anywhere`] in it.
    ///
    /// # Errors
    ///
    /// Those of its namesake.
    pub fn map_anywhere(
        &mut self,
        request: &HoleRequest,
        target: u64,
        flags: Flags,
    ) -> Result<Mapping, Error> {
        self.shared.for_write()?;
        let mut mapping = Mapping { start: 0, last: 0, target, flags };
        // SAFETY: see above.
        Error::check(unsafe {
            sys::tide_txn_map_anywhere(self.raw, &request.to_c(), mapping.as_mut_ptr())
        })?;
        Ok(mapping)
    }

    /// [`Tree::replace`] in it.
    ///
    /// # Errors
    ///
    /// Those of its namesake.
    pub fn replace(&mut self, mapping: &Mapping) -> Result<(), Error> {
        self.replace_with(mapping, |_| {})
    }

    /// [`Tree::replace_with`] in it. Pieces are told at once, though readers see them until the
    /// commit, and for good if there is none.
    ///
    /// # Errors
    ///
    /// Those of its namesake.
    pub fn replace_with(
        &mut self,
        mapping: &Mapping,
        mut on_removed: impl FnMut(Mapping),
    ) -> Result<(), Error> {
        self.shared.for_write()?;
        calling(&mut on_removed, |told, call| {
            // SAFETY: see above; `call` outlives the change, after which it is not called any more.
            unsafe { sys::tide_txn_replace(self.raw, mapping.as_ptr(), told, call) }
        })
    }

    /// [`Tree::protect`] in it.
    ///
    /// # Errors
    ///
    /// Those of its namesake.
    pub fn protect(&mut self, range: RangeInclusive<u64>, flags: Flags) -> Result<(), Error> {
        self.shared.for_write()?;
        let (start, last) = bounds(&range);
        // SAFETY: see above.
        Error::check(unsafe { sys::tide_txn_protect(self.raw, start, last, flags.bits()) })
    }

    /// [`Tree::unmap`] in it. It may fail for want of memory.
    ///
    /// # Errors
    ///
    /// Those of its namesake, and [`Error::OutOfMemory`].
    pub fn unmap(&mut self, range: RangeInclusive<u64>, policy: Policy) -> Result<Unmapped, Error> {
        self.unmap_with(range, policy, |_| {})
    }

    /// [`Tree::unmap_with`] in it. Pieces are told at once, though readers see them until the commit,
    /// and for good if there is none.
    ///
    /// # Errors
    ///
    /// Those of [`unmap`](Txn::unmap).
    pub fn unmap_with(
        &mut self,
        range: RangeInclusive<u64>,
        policy: Policy,
        mut on_removed: impl FnMut(Mapping),
    ) -> Result<Unmapped, Error> {
        self.shared.for_write()?;
        let (start, last) = bounds(&range);
        let (raw, policy, mut result) = (self.raw, policy.code(), NO_RESULT);
        calling(&mut on_removed, |told, call| {
            // SAFETY: see above; `call` outlives the change, after which it is not called any more.
            unsafe { sys::tide_txn_unmap(raw, start, last, policy, told, call, &mut result) }
        })?;
        Ok(Unmapped::from(result))
    }

    /// Let readers see all of it, at one instant.
    ///
    /// # Panics
    ///
    /// As the drop, with which the transaction is leaked: writes of the tree are then refused with
    /// [`Error::Busy`].
    pub fn commit(self) {
        let this = ManuallyDrop::new(self);
        if let Err(error) = this.shared.for_write() {
            panic!("commit: {error}");
        }
        // SAFETY: see above; it is not used any more.
        unsafe { sys::tide_txn_commit(this.raw) };
    }
}

impl<R: Rcu> Drop for Txn<'_, R> {
    fn drop(&mut self) {
        if let Err(error) = self.shared.for_write() {
            if !std::thread::panicking() {
                panic!("drop of a transaction: {error}");
            }
            return; // leaked
        }
        // SAFETY: see above; it is not used any more.
        unsafe { sys::tide_txn_abort(self.raw) };
    }
}

/// A tree as it was at one instant, whatever is written since. It answers all questions of [`View`] and
/// [`Still`], to any thread, with no section.
pub struct Snapshot<R: Rcu = Epochs> {
    raw: NonNull<sys::tide_snapshot>,
    still: Still,
    _shared: Arc<Shared<R>>,
}

// SAFETY: the library lets any thread ask and release it, beside the writer.
unsafe impl<R: Rcu> Send for Snapshot<R> {}
// SAFETY: as above.
unsafe impl<R: Rcu> Sync for Snapshot<R> {}

impl<R: Rcu> Deref for Snapshot<R> {
    type Target = Still;
    fn deref(&self) -> &Still {
        &self.still
    }
}

impl<R: Rcu> fmt::Debug for Snapshot<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Snapshot").field(&self.still).finish()
    }
}

impl<R: Rcu> Drop for Snapshot<R> {
    fn drop(&mut self) {
        // SAFETY: nobody borrows it; the tree, which the Arc keeps, is still there. Never waits.
        unsafe { sys::tide_snapshot_release(self.raw.as_ptr()) };
    }
}
