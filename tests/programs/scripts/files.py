import os, stat, sys

base = sys.argv[1]
path = os.path.join(base, "one.txt")
with open(path, "w") as f:
    for n in range(1000):
        print(n, "line of text", file=f)
print(os.path.getsize(path), stat.S_ISREG(os.stat(path).st_mode))
with open(path) as f:
    f.seek(100)
    print(repr(f.read(20)), f.tell())
    print(sum(1 for _ in f))
os.mkdir(os.path.join(base, "folder"))
os.rename(path, os.path.join(base, "folder", "two.txt"))
with open(os.path.join(base, "folder", "two.txt"), "r+b") as f:
    f.truncate(50)
    f.seek(0, 2)
    f.write(b"tail\n")
print(sorted(os.listdir(base)), os.listdir(os.path.join(base, "folder")))
print(open(os.path.join(base, "folder", "two.txt"), "rb").read())
for name in ("missing.txt", "folder"):
    try:
        open(os.path.join(base, name))
    except OSError as error:
        print(type(error).__name__)
try:
    open("/etc/passwd")
except OSError as error:
    print("outside:", type(error).__name__)
for root, folders, names in os.walk(base):
    print(os.path.relpath(root, base), folders, names)
os.remove(os.path.join(base, "folder", "two.txt"))
os.rmdir(os.path.join(base, "folder"))
with open(os.path.join(base, "kept.txt"), "w") as f:
    f.write("kept\n")
