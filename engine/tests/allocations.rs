//! Scanning a text without findings allocates nothing.

#![expect(unsafe_code, reason = "an allocator that counts is one")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use engine::guard::{Detectors, scan};

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn nothing_is_allocated_where_nothing_is_found() {
    let text = "Dear team, order 4155552671 of 2024-03-01 (build 1.2.3.4) has shipped.\n\
                id,amount,when\n1,20.50,2024-01-01\n2,13.75,2024-01-02\n\
                INSERT INTO t (id, total) VALUES (1, '123456789'), (2, '987654321');\n\
                https://example.com/a?b=c password: see the vault; NHS number: none; Tên: chưa rõ\n";
    let detectors = Detectors::default();
    let mut out = Vec::new();
    scan(text, &mut out);
    assert!(out.is_empty(), "{out:?}");
    let before = COUNT.with(Cell::get);
    detectors.scan(text, &mut out);
    assert_eq!(COUNT.with(Cell::get) - before, 0);
    detectors.scan("write to jane.doe@example.com", &mut out);
    assert_eq!(
        (out.len(), COUNT.with(Cell::get) - before),
        (1, 1),
        "the list of findings"
    );
}
