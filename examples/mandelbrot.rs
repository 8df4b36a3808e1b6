// SPDX-License-Identifier: Apache-2.0
//
// A picture of the Mandelbrot set in letters, in Rust. Its input: columns, rows.
//
//     weft deploy examples/mandelbrot.rs
//     weft invoke mandelbrot --input "60 20"
//
// or rustc --target=wasm32-wasi -O mandelbrot.rs (newer compilers: wasm32-wasip1).
use std::io::Read;

// What weft.h declares for C is imported like this.
#[link(wasm_import_module = "weft")]
extern "C" {
    fn log(level: u32, text: *const u8, count: u32) -> i32;
    fn deadline_left() -> i64;
}

const INFO: u32 = 1;
const STEPS: usize = 256;

fn tell(text: &str) {
    // Safe: the text is ours, and as long as we say.
    unsafe { log(INFO, text.as_ptr(), text.len() as u32) };
}

/// How many steps it takes to leave the circle of 2; STEPS: it stays.
fn steps(x: f64, y: f64) -> usize {
    let (mut a, mut b) = (0.0, 0.0);
    for step in 0..STEPS {
        if a * a + b * b > 4.0 {
            return step;
        }
        let next = a * a - b * b + x;
        b = 2.0 * a * b + y;
        a = next;
    }
    STEPS
}

fn letter(steps: usize) -> char {
    const LETTERS: &[u8] = b" .:-=+*%#@";
    LETTERS[(steps * (LETTERS.len() - 1)) / STEPS] as char
}

fn main() {
    let mut text = String::new();
    if std::io::stdin().read_to_string(&mut text).is_err() {
        text.clear();
    }
    let mut numbers = text.split_whitespace().filter_map(|word| word.parse::<usize>().ok());
    let columns = numbers.next().unwrap_or(60).clamp(2, 1000);
    let rows = numbers.next().unwrap_or(20).clamp(2, 1000);
    for row in 0..rows {
        let y = 2.4 * row as f64 / (rows - 1) as f64 - 1.2;
        let line: String = (0..columns)
            .map(|column| letter(steps(3.0 * column as f64 / (columns - 1) as f64 - 2.1, y)))
            .collect();
        println!("{}", line.trim_end());
    }
    let left = unsafe { deadline_left() };
    tell(&format!("{} by {}, {} left", columns, rows,
                  if left == i64::MAX { "all the time".to_string() } else { format!("{} s", left / 1_000_000_000) }));
}
