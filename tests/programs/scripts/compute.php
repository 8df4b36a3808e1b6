<?php
function fib($n) { return $n < 2 ? $n : fib($n - 1) + fib($n - 2); }
echo fib(20), " ", array_sum(range(1, 1000)), " ", json_encode(["a" => [1, 2.5, null], "b" => "ü"]), "\n";
echo preg_replace('/(\w+) (\w+)/', '$2 $1', 'hello world'), " ", sha1("weft"), " ", crc32("weft"), "\n";
$words = explode(" ", "the quick brown fox jumps over the lazy dog");
usort($words, fn($a, $b) => strlen($a) <=> strlen($b) ?: strcmp($a, $b));
echo implode(",", array_unique($words)), " ", str_pad(number_format(1234567.891, 2), 15, "*"), "\n";
class Loom { public function __construct(private int $threads) {} public function __toString(): string { return "loom of $this->threads"; } }
echo new Loom(12), " ", serialize([1, "x" => true]), " ", date("Y-m-d", 86400 * 365), "\n";
try { intdiv(1, 0); } catch (DivisionByZeroError $e) { echo get_class($e), "\n"; }
function gen() { for ($i = 0; $i < 5; $i++) yield $i => $i ** 2; }
foreach (gen() as $k => $v) echo "$k:$v ";
echo "\n";
