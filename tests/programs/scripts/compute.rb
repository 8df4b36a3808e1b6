puts (1..10).map { |x| x * x }.select(&:even?).sum, 2**100
puts "the quick brown fox".split.map(&:capitalize).sort.join(" "), "a1b22".gsub(/\d+/) { |m| (m.to_i * 2).to_s }
Loom = Struct.new(:threads, :name) do
  def to_s = "#{name} with #{threads}"
end
puts Loom.new(12, "loom"), [3, 1, 2].sort_by { |x| -x }.inspect, { a: 1, "b" => [nil, 2.5] }.inspect
fib = Hash.new { |h, n| h[n] = n < 2 ? n : h[n - 1] + h[n - 2] }
puts fib[80]
begin
  Integer("x")
rescue ArgumentError => e
  puts "caught #{e.message}"
ensure
  puts "ensured"
end
squares = Enumerator.new { |y| n = 0; loop { y << n * n; n += 1 } }
puts squares.lazy.select(&:odd?).first(4).inspect
puts catch(:done) { 10.times { |i| throw :done, i if i > 6 }; :never }
puts [1, 2, 3].each_slice(2).to_a.inspect, format("%08.3f|%-6s|%x", 3.14159, "ab", 255)
def deep(n) = n.zero? ? 0 : 1 + deep(n - 1)
puts deep(1000)
