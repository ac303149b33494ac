// SPDX-License-Identifier: BSD-2-Clause
//! The questions.

use crate::types::{bounds, Difference, Forecast, HoleRequest, Run, Segment, Statistics};
use crate::{sys, Error, Flags, Mapping, Policy};
use std::ffi::CStr;
use std::fmt;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::{Deref, RangeInclusive};
use std::ptr;

/// A tree that may be asked: of a [`Guard`](crate::Guard), or, by way of [`Still`], of its writer, a
/// transaction or a snapshot. It is only ever borrowed from one of these, so no question is asked
/// outside of a read-side section.
///
/// Single lookups are wait-free and exact. Walks see every mapping that is there throughout exactly
/// once, in order; what is changed meanwhile they may or may not see.
pub struct View {
    raw: *const sys::tide,
}

/// What a C function that may say no has stored.
fn stored<T>(ask: impl FnOnce(*mut T) -> bool) -> Option<T> {
    let mut space = MaybeUninit::uninit();
    if ask(space.as_mut_ptr()) {
        // SAFETY: all functions given here store all of it where they return true.
        Some(unsafe { space.assume_init() })
    } else {
        None
    }
}

fn mapping(ask: impl FnOnce(*mut sys::tide_mapping) -> bool) -> Option<Mapping> {
    stored(ask).map(Mapping::from)
}

/// A walk that was begun. C leaves unset what it will set before it reads it.
fn begun<T>(begin: impl FnOnce(*mut T)) -> MaybeUninit<T> {
    let mut space = MaybeUninit::uninit();
    begin(space.as_mut_ptr());
    space
}

impl View {
    /// # Safety
    ///
    /// For as long as it can be reached, questions may be asked of the tree.
    pub(crate) unsafe fn new(raw: *const sys::tide) -> View {
        View { raw }
    }

    pub(crate) fn raw(&self) -> *const sys::tide {
        self.raw
    }

    // In all of these: SAFETY is that of View::new, that pointers are to what is borrowed here, and
    // that the library defines the answer to every other argument.

    /// The mapping that contains an address. Wait-free.
    pub fn lookup(&self, address: u64) -> Option<Mapping> {
        // SAFETY: see above.
        mapping(|out| unsafe { sys::tide_lookup(self.raw, address, out) })
    }

    /// Independent lookups, faster than one by one in a large tree; where nothing is mapped
    /// [`Mapping::MISS`]. Returns the number of hits.
    ///
    /// # Panics
    ///
    /// If the slices have different lengths.
    pub fn lookup_many(&self, addresses: &[u64], found: &mut [Mapping]) -> usize {
        assert_eq!(addresses.len(), found.len(), "room for as many answers as questions");
        let out = found.as_mut_ptr().cast();
        // SAFETY: see above; Mapping is laid out as tide_mapping.
        unsafe { sys::tide_lookup_many(self.raw, addresses.as_ptr(), addresses.len(), out) }
    }

    /// For lookups that stay near one another.
    pub fn cursor(&self) -> Cursor<'_> {
        // SAFETY: see above; the cursor borrows this view, and so ends before the section.
        let raw = begun(|cursor| unsafe { sys::tide_cursor_init(cursor, self.raw) });
        Cursor { raw, _view: PhantomData }
    }

    /// The lowest mapping that shares an address with the range.
    pub fn first_overlap(&self, range: RangeInclusive<u64>) -> Option<Mapping> {
        let (start, last) = bounds(&range);
        // SAFETY: see above.
        mapping(|out| unsafe { sys::tide_first_overlap(self.raw, start, last, out) })
    }

    /// The highest mapping that shares an address with the range.
    pub fn last_overlap(&self, range: RangeInclusive<u64>) -> Option<Mapping> {
        let (start, last) = bounds(&range);
        // SAFETY: see above.
        mapping(|out| unsafe { sys::tide_last_overlap(self.raw, start, last, out) })
    }

    /// The lowest mapping that ends at an address or above it.
    pub fn next(&self, address: u64) -> Option<Mapping> {
        // SAFETY: see above.
        mapping(|out| unsafe { sys::tide_next(self.raw, address, out) })
    }

    /// The highest mapping that starts at an address or below it.
    pub fn prev(&self, address: u64) -> Option<Mapping> {
        // SAFETY: see above.
        mapping(|out| unsafe { sys::tide_prev(self.raw, address, out) })
    }

    /// Whether an address is mapped with all of these flags. Wait-free.
    pub fn is_mapped(&self, address: u64, access: Flags) -> bool {
        // SAFETY: see above.
        unsafe { sys::tide_is_mapped(self.raw, address, access.bits()) }
    }

    /// Whether every address of a range is mapped with all of these flags.
    pub fn is_wholly_mapped(&self, range: RangeInclusive<u64>, access: Flags) -> bool {
        let (start, last) = bounds(&range);
        // SAFETY: see above.
        unsafe { sys::tide_is_wholly_mapped(self.raw, start, last, access.bits()) }
    }

    /// The highest mapped address.
    pub fn high_watermark(&self) -> Option<u64> {
        // SAFETY: see above.
        stored(|out| unsafe { sys::tide_high_watermark(self.raw, out) })
    }

    /// The lowest mapped address.
    pub fn low_watermark(&self) -> Option<u64> {
        // SAFETY: see above.
        stored(|out| unsafe { sys::tide_low_watermark(self.raw, out) })
    }

    /// The highest mapped address at or below an address.
    pub fn highest_mapped(&self, address: u64) -> Option<u64> {
        // SAFETY: see above.
        stored(|out| unsafe { sys::tide_highest_mapped(self.raw, address, out) })
    }

    /// The lowest mapped address at or above an address.
    pub fn lowest_mapped(&self, address: u64) -> Option<u64> {
        // SAFETY: see above.
        stored(|out| unsafe { sys::tide_lowest_mapped(self.raw, address, out) })
    }

    /// A range cut down to its lowest and highest mapped address.
    pub fn clamp(&self, range: RangeInclusive<u64>) -> Option<RangeInclusive<u64>> {
        let (mut start, mut last) = bounds(&range);
        // SAFETY: see above.
        unsafe { sys::tide_clamp(self.raw, &mut start, &mut last) }.then_some(start..=last)
    }

    /// The mappings that share an address with a range, upwards, whole even where they stick out.
    pub fn overlaps(&self, range: RangeInclusive<u64>) -> Overlaps<'_> {
        let (start, last) = bounds(&range);
        // SAFETY: see above.
        let raw = begun(|walk| unsafe { sys::tide_iterate_up(walk, self.raw, start, last) });
        Overlaps { raw, _view: PhantomData }
    }

    /// The same, downwards.
    pub fn overlaps_down(&self, range: RangeInclusive<u64>) -> Overlaps<'_> {
        let (start, last) = bounds(&range);
        // SAFETY: see above.
        let raw = begun(|walk| unsafe { sys::tide_iterate_down(walk, self.raw, start, last) });
        Overlaps { raw, _view: PhantomData }
    }

    /// What a range translates to, with all flags of `access`: into `segments`, neighbours joined if
    /// `merge`. Returns those that were stored.
    ///
    /// # Errors
    ///
    /// [`Untranslated`] says the first address that can't be translated, or that there is too little
    /// room and where to go on. The segments below it have been stored all the same.
    pub fn translate<'s>(
        &self,
        range: RangeInclusive<u64>,
        access: Flags,
        merge: bool,
        segments: &'s mut [Segment],
    ) -> Result<&'s [Segment], Untranslated> {
        let (start, last) = bounds(&range);
        let flags = if merge { sys::TIDE_TRANSLATE_MERGE } else { 0 };
        let mut result = sys::tide_translation { written: 0, needed: 0, next: 0, bad: 0 };
        // SAFETY: see above; Segment is laid out as tide_segment.
        let code = unsafe {
            sys::tide_translate(
                self.raw,
                start,
                last,
                access.bits(),
                segments.as_mut_ptr().cast(),
                segments.len(),
                flags,
                &mut result,
            )
        };
        match Error::check(code) {
            Ok(()) => Ok(&segments[..result.written]),
            Err(error) => Err(Untranslated {
                error,
                written: result.written,
                needed: result.needed,
                next: result.next,
                bad: result.bad,
            }),
        }
    }

    /// Mappings of a range that could be one, upwards.
    pub fn runs(&self, range: RangeInclusive<u64>) -> Runs<'_> {
        let (start, last) = bounds(&range);
        // SAFETY: see above.
        let raw = begun(|walk| unsafe { sys::tide_runs_begin(walk, self.raw, start, last) });
        Runs { raw, _view: PhantomData }
    }

    /// How few mappings would say the same of a range.
    pub fn count_runs(&self, range: RangeInclusive<u64>) -> u64 {
        let (start, last) = bounds(&range);
        // SAFETY: see above.
        unsafe { sys::tide_count_runs(self.raw, start, last) }
    }

    /// The mappings that share a target with a range of targets, by target.
    ///
    /// # Errors
    ///
    /// [`Error::NotSupported`]: the tree was made without
    /// [`index_targets`](crate::Options::index_targets).
    pub fn sources(&self, targets: RangeInclusive<u64>) -> Result<Sources<'_>, Error> {
        let (start, last) = bounds(&targets);
        let mut space = MaybeUninit::uninit();
        // SAFETY: see above.
        let code = unsafe { sys::tide_sources_begin(space.as_mut_ptr(), self.raw, start, last) };
        Error::check(code)?;
        Ok(Sources { raw: space, _view: PhantomData })
    }

    /// An address that leads to a target.
    pub fn find_source(&self, target: u64) -> Option<u64> {
        // SAFETY: see above.
        stored(|out| unsafe { sys::tide_find_source(self.raw, target, out) })
    }

    /// What is not mapped of a range, upwards.
    pub fn holes(&self, range: RangeInclusive<u64>) -> Holes<'_> {
        let (start, last) = bounds(&range);
        // SAFETY: see above.
        let raw = begun(|walk| unsafe { sys::tide_holes_begin(walk, self.raw, start, last) });
        Holes { raw, _view: PhantomData }
    }

    /// Find room. To a reader it may be gone before it can be used.
    ///
    /// # Errors
    ///
    /// [`Error::NoSpace`], or [`Error::Invalid`] for a request that can't be met anywhere.
    pub fn find_hole(&self, request: &HoleRequest) -> Result<RangeInclusive<u64>, Error> {
        let mut start = 0;
        // SAFETY: see above.
        let code = unsafe { sys::tide_find_hole(self.raw, &request.to_c(), &mut start) };
        Error::check(code)?;
        Ok(start..=start + request.extent)
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.overlaps(0..=u64::MAX)).finish()
    }
}

/// Why a range was not translated, and how far it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Untranslated {
    /// [`Error::NotFound`] or [`Error::Access`] of the address `bad`, [`Error::TooManySegments`],
    /// or [`Error::Invalid`] of a range of no addresses.
    pub error: Error,
    /// Segments stored.
    pub written: usize,
    /// Segments of all that lies below `bad`, or of the range.
    pub needed: usize,
    /// The address after the segments stored, modulo 2^64.
    pub next: u64,
    /// The first address that can't be translated; 0 where there is none.
    pub bad: u64,
}

impl fmt::Display for Untranslated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.error {
            Error::TooManySegments => write!(f, "{} segments, {}", self.needed, self.error),
            Error::Invalid => self.error.fmt(f),
            _ => write!(f, "{:#x}: {}", self.bad, self.error),
        }
    }
}

impl std::error::Error for Untranslated {}

impl From<Untranslated> for Error {
    fn from(untranslated: Untranslated) -> Error {
        untranslated.error
    }
}

/// Lookups that remember where the last one was; from [`View::cursor`].
#[derive(Clone)]
pub struct Cursor<'v> {
    raw: MaybeUninit<sys::tide_cursor>,
    _view: PhantomData<&'v View>,
}

impl Cursor<'_> {
    /// As [`View::lookup`], and never older than an answer given before.
    pub fn lookup(&mut self, address: u64) -> Option<Mapping> {
        // SAFETY: the view that is borrowed may be asked.
        mapping(|out| unsafe { sys::tide_cursor_lookup(self.raw.as_mut_ptr(), address, out) })
    }
}

impl fmt::Debug for Cursor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursor").finish_non_exhaustive()
    }
}

macro_rules! walk {
    ($(#[$doc:meta])* $name:ident, $raw:ident, $next:ident, $item:ty, $into:expr) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name<'v> {
            raw: MaybeUninit<sys::$raw>,
            _view: PhantomData<&'v View>,
        }

        impl Iterator for $name<'_> {
            type Item = $item;
            fn next(&mut self) -> Option<$item> {
                // SAFETY: the view that is borrowed may be asked, and the walk was begun in it.
                stored(|out| unsafe { sys::$next(self.raw.as_mut_ptr(), out) }).map($into)
            }
        }

        impl std::iter::FusedIterator for $name<'_> {}

        impl fmt::Debug for $name<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}

walk!(
    /// A walk over mappings; from [`View::overlaps`].
    Overlaps, tide_iterator, tide_iterate_next, Mapping, Mapping::from
);
walk!(
    /// A walk over runs; from [`View::runs`].
    Runs, tide_runs, tide_runs_next, Run, |run: sys::tide_run| Run {
        mapping: Mapping {
            start: run.start,
            last: run.last,
            target: run.target,
            flags: Flags::from_bits(run.flags),
        },
        mappings: run.mappings,
    }
);
walk!(
    /// A walk over mappings by target; from [`View::sources`].
    Sources, tide_sources, tide_sources_next, Mapping, Mapping::from
);
walk!(
    /// A walk over holes; from [`View::holes`].
    Holes, tide_holes, tide_holes_next, RangeInclusive<u64>,
    |hole: sys::tide_hole| hole.start..=hole.last
);
walk!(
    /// A walk over what differs; from [`Still::diff`].
    Differences, tide_diff, tide_diff_next, Difference,
    |difference: sys::tide_difference| {
        let (before, after) = (difference.before.into(), difference.after.into());
        match difference.kind {
            sys::TIDE_DIFF_UNMAP => Difference::Unmap(before),
            sys::TIDE_DIFF_MAP => Difference::Map(after),
            _ => Difference::Change(before, after),
        }
    }
);

impl Differences<'_> {
    /// What is compared: the range that was asked for, grown until no mapping sticks out of it.
    pub fn window(&self) -> RangeInclusive<u64> {
        let raw = self.raw.as_ptr();
        // SAFETY: tide_diff_begin has set these two.
        unsafe { (*raw).start..=(*raw).last }
    }
}

/// A [`View`] of what is not written to while it is borrowed: of a [`Tree`](crate::Tree), a
/// [`Txn`](crate::Txn) or a [`Snapshot`](crate::Snapshot).
pub struct Still {
    view: View,
}

impl Deref for Still {
    type Target = View;
    fn deref(&self) -> &View {
        &self.view
    }
}

impl fmt::Debug for Still {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.view.fmt(f)
    }
}

fn forecast(ask: impl FnOnce(*mut sys::tide_forecast) -> i32) -> Result<Forecast, Error> {
    let mut space = MaybeUninit::uninit();
    Error::check(ask(space.as_mut_ptr()))?;
    // SAFETY: filled in on success.
    Ok(Forecast::from(unsafe { space.assume_init() }))
}

impl Still {
    /// # Safety
    ///
    /// That of [`View::new`], and nothing is written to it while it is borrowed.
    pub(crate) unsafe fn new(raw: *const sys::tide) -> Still {
        // SAFETY: as promised by the caller.
        Still { view: unsafe { View::new(raw) } }
    }

    // In all of these: SAFETY is that of Still::new, and that pointers are to what is borrowed here.

    /// Counts of this moment.
    pub fn stats(&self) -> Statistics {
        let mut space = MaybeUninit::uninit();
        // SAFETY: see above; it fills in all.
        let stats = unsafe {
            sys::tide_stats(self.raw(), space.as_mut_ptr());
            space.assume_init()
        };
        Statistics::from(stats)
    }

    /// Verify every invariant of the tree: the first that is broken, which is a bug, or memory
    /// written over by somebody else.
    ///
    /// # Errors
    ///
    /// The invariant, in words.
    pub fn check(&self) -> Result<(), String> {
        let mut reason = ptr::null();
        // SAFETY: see above.
        if unsafe { sys::tide_check(self.raw(), &mut reason) } == 0 {
            return Ok(());
        }
        // SAFETY: it is set to a constant string.
        Err(unsafe { CStr::from_ptr(reason) }.to_string_lossy().into_owned())
    }

    /// What a map would do now; nothing changes.
    ///
    /// # Errors
    ///
    /// What it would be refused with.
    pub fn dry_map(&self, mapping: &Mapping) -> Result<Forecast, Error> {
        // SAFETY: see above.
        forecast(|out| unsafe { sys::tide_dry_map(self.raw(), mapping.as_ptr(), out) })
    }

    /// What a replace would do now; nothing changes.
    ///
    /// # Errors
    ///
    /// What it would be refused with.
    pub fn dry_replace(&self, mapping: &Mapping) -> Result<Forecast, Error> {
        // SAFETY: see above.
        forecast(|out| unsafe {
            sys::tide_dry_replace(self.raw(), mapping.as_ptr(), None, ptr::null_mut(), out)
        })
    }

    /// What a protect would do now; nothing changes.
    ///
    /// # Errors
    ///
    /// What it would be refused with.
    pub fn dry_protect(&self, range: RangeInclusive<u64>, flags: Flags) -> Result<Forecast, Error> {
        let (start, last) = bounds(&range);
        // SAFETY: see above.
        forecast(|out| unsafe { sys::tide_dry_protect(self.raw(), start, last, flags.bits(), out) })
    }

    /// What an unmap would do now; nothing changes.
    ///
    /// # Errors
    ///
    /// What it would be refused with.
    pub fn dry_unmap(&self, range: RangeInclusive<u64>, policy: Policy) -> Result<Forecast, Error> {
        let (start, last) = bounds(&range);
        // SAFETY: see above.
        forecast(|out| unsafe {
            let (raw, policy) = (self.raw(), policy.code());
            sys::tide_dry_unmap(raw, start, last, policy, None, ptr::null_mut(), out)
        })
    }

    /// What makes the newer tree of this one, in an order in which it can be replayed: fast where
    /// both are of one tree, as the snapshots of it, and right in any case.
    pub fn diff<'v>(&'v self, newer: &'v Still, range: RangeInclusive<u64>) -> Differences<'v> {
        let (start, last) = bounds(&range);
        // SAFETY: see above; both are borrowed for the length of the walk.
        let raw = begun(|walk| unsafe {
            sys::tide_diff_begin(walk, self.raw(), newer.raw(), start, last)
        });
        Differences { raw, _view: PhantomData }
    }
}
