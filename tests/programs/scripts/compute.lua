local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end
print(fib(24), string.format("%.6f %5d %q", math.pi, 42, "a\nb"), #arg, arg[1])
local ok, err = pcall(function() error({ code = 7 }) end)
print(ok, err.code, select(2, pcall(string.rep)))
local co = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i * i) end return "end" end)
print(co(), co(), co(), co())
local words = {}
for w in ("the quick brown fox jumps"):gmatch("%a+") do words[#words + 1] = w:upper() end
table.sort(words, function(a, b) return #a < #b or (#a == #b and a < b) end)
print(table.concat(words, ","), ("weft"):rep(3, "-"), ("a1b22"):gsub("%d+", function(d) return d * 2 end))
local t = setmetatable({}, { __index = function(_, k) return k * 2 end, __call = function(_, a) return a + 1 end })
print(t[21], t(41), 7 // 2, 7 % -3, 2^0.5, 1 << 40, math.maxinteger)
local sieve, count = {}, 0
for i = 2, 20000 do
    if not sieve[i] then
        count = count + 1
        for j = i * i, 20000, i do sieve[j] = true end
    end
end
print(count, string.pack("<i4", 258):byte(1, 4))
local function deep(n) if n == 0 then error("bottom") end return 1 + deep(n - 1) end
print(pcall(deep, 150))
for line in io.lines() do io.write("[", line, "]") end
print(load("return 1 +")) print(utf8.char(252, 8364), #utf8.char(8364))
