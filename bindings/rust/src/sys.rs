// SPDX-License-Identifier: BSD-2-Clause
//! What `tidemark/tidemark.h` declares, as it is: that header is the manual.
//!
//! `tests/layout.rs` compares all of it with the header: sizes, offsets, constants and the types
//! of functions.
#![allow(missing_docs, missing_debug_implementations, non_camel_case_types)]

use std::marker::{PhantomData, PhantomPinned};
use std::mem::{align_of, size_of, MaybeUninit};
use std::os::raw::{c_char, c_int, c_uchar, c_uint, c_void};
use std::ptr::addr_of;

/// Told of a removed piece.
pub type tide_removed_fn = unsafe extern "C" fn(*const tide_mapping, *mut c_void);

#[repr(C)]
pub struct tide {
    _private: [u8; 0],
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}

#[repr(C)]
pub struct tide_txn {
    _private: [u8; 0],
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}

#[repr(C)]
pub struct tide_snapshot {
    _private: [u8; 0],
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}

pub const TIDE_READ: u32 = 1;
pub const TIDE_WRITE: u32 = 2;
pub const TIDE_EXEC: u32 = 4;
pub const TIDE_OPAQUE: u32 = 8;

pub type tide_unmap_policy = c_uint;
pub const TIDE_UNMAP_SPLIT: tide_unmap_policy = 0;
pub const TIDE_UNMAP_WHOLE: tide_unmap_policy = 1;
pub const TIDE_UNMAP_EXACT: tide_unmap_policy = 2;
pub const TIDE_UNMAP_COVERED: tide_unmap_policy = 3;

pub type tide_event_kind = c_uint;
pub const TIDE_EVENT_MAP: tide_event_kind = 0;
pub const TIDE_EVENT_REPLACE: tide_event_kind = 1;
pub const TIDE_EVENT_UNMAP: tide_event_kind = 2;
pub const TIDE_EVENT_PROTECT: tide_event_kind = 3;
pub const TIDE_EVENT_SPLIT: tide_event_kind = 4;
pub const TIDE_EVENT_COMMIT: tide_event_kind = 5;
pub const TIDE_EVENT_ABORT: tide_event_kind = 6;
pub const TIDE_EVENT_SNAPSHOT: tide_event_kind = 7;
pub const TIDE_EVENT_RELEASE: tide_event_kind = 8;

pub type tide_isa = c_uint;
pub const TIDE_ISA_BEST: tide_isa = 0;
pub const TIDE_ISA_PLAIN: tide_isa = 1;
pub const TIDE_ISA_AVX2: tide_isa = 2;
pub const TIDE_ISA_AVX512: tide_isa = 3;

pub const TIDE_INDEX_TARGETS: u32 = 1;
pub const TIDE_INDEX_HOLES: u32 = 2;

pub const TIDE_TRANSLATE_MERGE: u32 = 1;
pub const TIDE_TRANSLATE_STOP: u32 = 2;

pub type tide_difference_kind = c_uint;
pub const TIDE_DIFF_UNMAP: tide_difference_kind = 0;
pub const TIDE_DIFF_MAP: tide_difference_kind = 1;
pub const TIDE_DIFF_CHANGE: tide_difference_kind = 2;

/// A struct as it is laid out: its name, size, alignment, and (name, offset, size) of its fields.
#[doc(hidden)]
pub struct Layout {
    pub name: &'static str,
    pub size: usize,
    pub align: usize,
    pub fields: Vec<(&'static str, usize, usize)>,
}

fn size_of_pointee<T>(_: *const T) -> usize {
    size_of::<T>()
}

macro_rules! c_structs {
    ($(pub struct $name:ident { $(pub $field:ident: $type:ty,)* })*) => {
        $(
            #[repr(C)]
            #[derive(Clone, Copy)]
            pub struct $name {
                $(pub $field: $type,)*
            }
        )*

        /// All structs, for the test that compares them with the header.
        #[doc(hidden)]
        pub fn layouts() -> Vec<Layout> {
            vec![$({
                let space = MaybeUninit::<$name>::uninit();
                let base = space.as_ptr();
                Layout {
                    name: stringify!($name),
                    size: size_of::<$name>(),
                    align: align_of::<$name>(),
                    fields: vec![$({
                        // SAFETY: only the address of the field is taken, inside of space.
                        let field = unsafe { addr_of!((*base).$field) };
                        (stringify!($field).trim_start_matches("r#"),
                         field as usize - base as usize, size_of_pointee(field))
                    },)*],
                }
            },)*]
        }
    };
}

c_structs! {
    pub struct tide_mapping {
        pub start: u64,
        pub last: u64,
        pub target: u64,
        pub flags: u32,
    }

    pub struct tide_bytes {
        pub low: u64,
        pub high: u64,
    }

    pub struct tide_allocator {
        pub allocate: Option<unsafe extern "C" fn(*mut c_void, usize, usize) -> *mut c_void>,
        pub release: Option<unsafe extern "C" fn(*mut c_void, *mut c_void, usize)>,
        pub drop: Option<unsafe extern "C" fn(*mut c_void)>,
        pub context: *mut c_void,
    }

    pub struct tide_rcu_head {
        pub run: Option<unsafe extern "C" fn(*mut tide_rcu_head)>,
        pub space: [*mut c_void; 4],
    }

    pub struct tide_rcu {
        pub defer: Option<unsafe extern "C" fn(*mut c_void, *mut tide_rcu_head)>,
        pub synchronize: Option<unsafe extern "C" fn(*mut c_void)>,
        pub barrier: Option<unsafe extern "C" fn(*mut c_void)>,
        pub context: *mut c_void,
        pub read_ongoing: Option<unsafe extern "C" fn(*mut c_void) -> bool>,
    }

    pub struct tide_unmap_result {
        pub mappings: u64,
        pub splits: u64,
        pub bytes: tide_bytes,
    }

    pub struct tide_event {
        pub kind: tide_event_kind,
        pub policy: tide_unmap_policy,
        pub tree: *const tide,
        pub version: *const tide,
        pub start: u64,
        pub last: u64,
        pub flags: u32,
        pub mapping: tide_mapping,
        pub result: tide_unmap_result,
    }

    pub struct tide_trace {
        pub event: Option<unsafe extern "C" fn(*mut c_void, *const tide_event)>,
        pub context: *mut c_void,
    }

    pub struct tide_options {
        pub size: usize,
        pub allocator: *const tide_allocator,
        pub rcu: *const tide_rcu,
        pub first: u64,
        pub last: u64,
        pub granule: u64,
        pub max_mappings: u64,
        pub max_retired: u64,
        pub isa: tide_isa,
        pub indexes: u32,
        pub trace: *const tide_trace,
    }

    pub struct tide_statistics {
        pub mappings: u64,
        pub bytes: tide_bytes,
        pub nodes: u64,
        pub height: u64,
        pub retired_nodes: u64,
        pub reserve_nodes: u64,
        pub snapshots: u64,
        pub held_nodes: u64,
        pub node_size: u64,
        pub memory: u64,
        pub index_nodes: u64,
    }

    pub struct tide_forecast {
        pub mappings: u64,
        pub splits: u64,
        pub bytes: tide_bytes,
        pub entries: u64,
    }

    pub struct tide_cursor {
        pub tree: *const tide,
        pub leaf: usize,
        pub severed: usize,
        pub bit: u32,
        pub mapping: tide_mapping,
    }

    pub struct tide_iterator {
        pub tree: *const tide,
        pub start: u64,
        pub last: u64,
        pub down: bool,
        pub begun: bool,
        pub done: bool,
        pub next: c_uint,
        pub count: c_uint,
        pub leaf: [tide_mapping; 16],
    }

    pub struct tide_segment {
        pub target: u64,
        pub start: u64,
        pub last: u64,
    }

    pub struct tide_iovec {
        pub base: *mut c_void,
        pub length: usize,
    }

    pub struct tide_translation {
        pub written: usize,
        pub needed: usize,
        pub next: u64,
        pub bad: u64,
    }

    pub struct tide_run {
        pub start: u64,
        pub last: u64,
        pub target: u64,
        pub mappings: u64,
        pub flags: u32,
    }

    pub struct tide_runs {
        pub walk: tide_iterator,
        pub ahead: tide_mapping,
        pub more: bool,
    }

    pub struct tide_sources {
        pub tree: *const tide,
        pub target: u64,
        pub target_last: u64,
        pub key: u64,
        pub value: u64,
        pub done: bool,
    }

    pub struct tide_hole {
        pub start: u64,
        pub last: u64,
    }

    pub struct tide_holes {
        pub walk: tide_iterator,
        pub start: u64,
        pub last: u64,
        pub done: bool,
    }

    pub struct tide_hole_request {
        pub extent: u64,
        pub alignment: u64,
        pub congruence: u64,
        pub boundary: u64,
        pub first: u64,
        pub last: u64,
        pub guard_below: u64,
        pub guard_above: u64,
        pub highest: bool,
    }

    pub struct tide_piece {
        pub start: u64,
        pub last: u64,
        pub order: c_uint,
    }

    pub struct tide_pieces {
        pub start: u64,
        pub last: u64,
        pub mask: u64,
        pub done: bool,
    }

    pub struct tide_difference {
        pub kind: tide_difference_kind,
        pub before: tide_mapping,
        pub after: tide_mapping,
    }

    pub struct tide_diff_side {
        pub tree: *const tide,
        pub position: u64,
        pub head: tide_mapping,
        pub leaf: usize,
        pub next: usize,
        pub left: u32,
        pub level: c_uint,
        pub holds: bool,
        pub index: [c_uchar; 64],
        pub node: [usize; 64],
    }

    pub struct tide_diff {
        pub start: u64,
        pub last: u64,
        pub visited: u64,
        pub from: tide_diff_side,
        pub to: tide_diff_side,
    }
}

extern "C" {
    pub fn tide_create(options: *const tide_options, tree: *mut *mut tide) -> c_int;
    pub fn tide_destroy(tree: *mut tide);
    pub fn tide_barrier(tree: *mut tide);
    pub fn tide_map(tree: *mut tide, mapping: *const tide_mapping) -> c_int;
    pub fn tide_replace(
        tree: *mut tide,
        mapping: *const tide_mapping,
        removed: Option<tide_removed_fn>,
        arg: *mut c_void,
    ) -> c_int;
    pub fn tide_replace_deferred(
        tree: *mut tide,
        mapping: *const tide_mapping,
        removed: Option<tide_removed_fn>,
        arg: *mut c_void,
    ) -> c_int;
    pub fn tide_protect(tree: *mut tide, start: u64, last: u64, flags: u32) -> c_int;
    pub fn tide_unmap(
        tree: *mut tide,
        start: u64,
        last: u64,
        policy: tide_unmap_policy,
        removed: Option<tide_removed_fn>,
        arg: *mut c_void,
        result: *mut tide_unmap_result,
    ) -> c_int;
    pub fn tide_unmap_deferred(
        tree: *mut tide,
        start: u64,
        last: u64,
        policy: tide_unmap_policy,
        removed: Option<tide_removed_fn>,
        arg: *mut c_void,
        result: *mut tide_unmap_result,
    ) -> c_int;
    pub fn tide_dry_map(
        tree: *const tide,
        mapping: *const tide_mapping,
        forecast: *mut tide_forecast,
    ) -> c_int;
    pub fn tide_dry_replace(
        tree: *const tide,
        mapping: *const tide_mapping,
        removed: Option<tide_removed_fn>,
        arg: *mut c_void,
        forecast: *mut tide_forecast,
    ) -> c_int;
    pub fn tide_dry_protect(
        tree: *const tide,
        start: u64,
        last: u64,
        flags: u32,
        forecast: *mut tide_forecast,
    ) -> c_int;
    pub fn tide_dry_unmap(
        tree: *const tide,
        start: u64,
        last: u64,
        policy: tide_unmap_policy,
        removed: Option<tide_removed_fn>,
        arg: *mut c_void,
        forecast: *mut tide_forecast,
    ) -> c_int;
    pub fn tide_lookup(tree: *const tide, address: u64, mapping: *mut tide_mapping) -> bool;
    pub fn tide_cursor_init(cursor: *mut tide_cursor, tree: *const tide);
    pub fn tide_cursor_lookup(
        cursor: *mut tide_cursor,
        address: u64,
        mapping: *mut tide_mapping,
    ) -> bool;
    pub fn tide_lookup_many(
        tree: *const tide,
        addresses: *const u64,
        count: usize,
        mappings: *mut tide_mapping,
    ) -> usize;
    pub fn tide_first_overlap(
        tree: *const tide,
        start: u64,
        last: u64,
        mapping: *mut tide_mapping,
    ) -> bool;
    pub fn tide_last_overlap(
        tree: *const tide,
        start: u64,
        last: u64,
        mapping: *mut tide_mapping,
    ) -> bool;
    pub fn tide_next(tree: *const tide, address: u64, mapping: *mut tide_mapping) -> bool;
    pub fn tide_prev(tree: *const tide, address: u64, mapping: *mut tide_mapping) -> bool;
    pub fn tide_is_mapped(tree: *const tide, address: u64, access: u32) -> bool;
    pub fn tide_is_wholly_mapped(tree: *const tide, start: u64, last: u64, access: u32) -> bool;
    pub fn tide_high_watermark(tree: *const tide, last: *mut u64) -> bool;
    pub fn tide_low_watermark(tree: *const tide, start: *mut u64) -> bool;
    pub fn tide_highest_mapped(tree: *const tide, address: u64, mapped: *mut u64) -> bool;
    pub fn tide_lowest_mapped(tree: *const tide, address: u64, mapped: *mut u64) -> bool;
    pub fn tide_clamp(tree: *const tide, start: *mut u64, last: *mut u64) -> bool;
    pub fn tide_iterate_up(iterator: *mut tide_iterator, tree: *const tide, start: u64, last: u64);
    pub fn tide_iterate_down(
        iterator: *mut tide_iterator,
        tree: *const tide,
        start: u64,
        last: u64,
    );
    pub fn tide_iterate_next(iterator: *mut tide_iterator, mapping: *mut tide_mapping) -> bool;
    pub fn tide_translate(
        tree: *const tide,
        start: u64,
        last: u64,
        access: u32,
        segments: *mut tide_segment,
        count: usize,
        flags: u32,
        result: *mut tide_translation,
    ) -> c_int;
    pub fn tide_translate_iov(
        tree: *const tide,
        start: u64,
        last: u64,
        access: u32,
        iovecs: *mut tide_iovec,
        count: usize,
        flags: u32,
        result: *mut tide_translation,
    ) -> c_int;
    pub fn tide_runs_begin(runs: *mut tide_runs, tree: *const tide, start: u64, last: u64);
    pub fn tide_runs_next(runs: *mut tide_runs, run: *mut tide_run) -> bool;
    pub fn tide_count_runs(tree: *const tide, start: u64, last: u64) -> u64;
    pub fn tide_sources_begin(
        sources: *mut tide_sources,
        tree: *const tide,
        target: u64,
        target_last: u64,
    ) -> c_int;
    pub fn tide_sources_next(sources: *mut tide_sources, mapping: *mut tide_mapping) -> bool;
    pub fn tide_find_source(tree: *const tide, target: u64, address: *mut u64) -> bool;
    pub fn tide_holes_begin(holes: *mut tide_holes, tree: *const tide, start: u64, last: u64);
    pub fn tide_holes_next(holes: *mut tide_holes, hole: *mut tide_hole) -> bool;
    pub fn tide_find_hole(
        tree: *const tide,
        request: *const tide_hole_request,
        start: *mut u64,
    ) -> c_int;
    pub fn tide_map_anywhere(
        tree: *mut tide,
        request: *const tide_hole_request,
        mapping: *mut tide_mapping,
    ) -> c_int;
    pub fn tide_pieces_begin(pieces: *mut tide_pieces, start: u64, last: u64, order_most: c_uint);
    pub fn tide_pieces_next(pieces: *mut tide_pieces, piece: *mut tide_piece) -> bool;
    pub fn tide_txn_begin(tree: *mut tide, txn: *mut *mut tide_txn) -> c_int;
    pub fn tide_txn_map(txn: *mut tide_txn, mapping: *const tide_mapping) -> c_int;
    pub fn tide_txn_map_anywhere(
        txn: *mut tide_txn,
        request: *const tide_hole_request,
        mapping: *mut tide_mapping,
    ) -> c_int;
    pub fn tide_txn_replace(
        txn: *mut tide_txn,
        mapping: *const tide_mapping,
        removed: Option<tide_removed_fn>,
        arg: *mut c_void,
    ) -> c_int;
    pub fn tide_txn_replace_deferred(
        txn: *mut tide_txn,
        mapping: *const tide_mapping,
        removed: Option<tide_removed_fn>,
        arg: *mut c_void,
    ) -> c_int;
    pub fn tide_txn_protect(txn: *mut tide_txn, start: u64, last: u64, flags: u32) -> c_int;
    pub fn tide_txn_unmap(
        txn: *mut tide_txn,
        start: u64,
        last: u64,
        policy: tide_unmap_policy,
        removed: Option<tide_removed_fn>,
        arg: *mut c_void,
        result: *mut tide_unmap_result,
    ) -> c_int;
    pub fn tide_txn_unmap_deferred(
        txn: *mut tide_txn,
        start: u64,
        last: u64,
        policy: tide_unmap_policy,
        removed: Option<tide_removed_fn>,
        arg: *mut c_void,
        result: *mut tide_unmap_result,
    ) -> c_int;
    pub fn tide_txn_tree(txn: *const tide_txn) -> *const tide;
    pub fn tide_txn_lookup(txn: *const tide_txn, address: u64, mapping: *mut tide_mapping) -> bool;
    pub fn tide_txn_commit(txn: *mut tide_txn);
    pub fn tide_txn_abort(txn: *mut tide_txn);
    pub fn tide_reserve(tree: *mut tide, count: u64) -> c_int;
    pub fn tide_snapshot_take(tree: *mut tide, snapshot: *mut *mut tide_snapshot) -> c_int;
    pub fn tide_snapshot_tree(snapshot: *const tide_snapshot) -> *const tide;
    pub fn tide_snapshot_lookup(
        snapshot: *const tide_snapshot,
        address: u64,
        mapping: *mut tide_mapping,
    ) -> bool;
    pub fn tide_snapshot_iterate(
        iterator: *mut tide_iterator,
        snapshot: *const tide_snapshot,
        start: u64,
        last: u64,
    );
    pub fn tide_snapshot_release(snapshot: *mut tide_snapshot);
    pub fn tide_diff_begin(
        diff: *mut tide_diff,
        from: *const tide,
        to: *const tide,
        start: u64,
        last: u64,
    );
    pub fn tide_diff_next(diff: *mut tide_diff, difference: *mut tide_difference) -> bool;
    pub fn tide_high_watermark_ever(tree: *const tide, last: *mut u64) -> bool;
    pub fn tide_low_watermark_ever(tree: *const tide, start: *mut u64) -> bool;
    pub fn tide_watermarks_reset(tree: *mut tide);
    pub fn tide_isa_of(tree: *const tide) -> tide_isa;
    pub fn tide_stats(tree: *const tide, stats: *mut tide_statistics);
    pub fn tide_check(tree: *const tide, reason: *mut *const c_char) -> c_int;
}
