// SPDX-License-Identifier: CC0-1.0
// NAME: the sum of the numbers that it is given.
use std::io::Read;

fn main() {
    let mut text = String::new();
    if std::io::stdin().read_to_string(&mut text).is_err() {
        eprintln!("the input is not UTF-8");
        std::process::exit(1);
    }
    let sum: f64 = text.split_whitespace().filter_map(|word| word.parse::<f64>().ok()).sum();
    println!("{}", sum); // what is printed is the answer
}
