function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
print(fib(18), JSON.stringify({ a: [3, 1, 2].sort(), b: null, c: { d: 1.5 } }));
print("a1b22c333".replace(/[0-9]+/g, function (m) { return m * 2; }), "x,y,z".split(",").reverse().join("-"));
try { null.x; } catch (e) { print(e.name); }
try { (function f() { throw { code: 7 }; })(); } catch (e) { print(e.code); } finally { print("finally"); }
function Loom(n) { this.n = n; }
Loom.prototype.toString = function () { return "loom of " + this.n; };
print(new Loom(12), (0.1 + 0.2).toFixed(10), parseInt("ff", 16), Math.pow(2, 53), 1 / 3);
var words = "the quick brown fox jumps over the lazy dog".split(" "), count = {};
words.forEach(function (w) { count[w] = (count[w] || 0) + 1; });
print(Object.keys(count).sort().map(function (k) { return k + count[k]; }).join(" "));
var s = 0; for (var i = 0; i < 200000; ++i) s = (s * 31 + i) % 1000003; print(s);
print(new Date(0).toISOString(), encodeURIComponent("ü&"), JSON.parse("[1,[2]]")[1][0]);
