create table loom(id integer primary key, name text, threads int);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 2000)
  insert into loom select i, 'loom ' || i, (i * 7919) % 101 from n;
select count(*), sum(threads), max(name), round(avg(threads), 6) from loom;
create index by_threads on loom(threads);
select threads, count(*) from loom group by threads having count(*) > 19 order by threads limit 5;
select a.id, b.id from loom a join loom b on a.threads = b.threads and a.id < b.id order by a.id, b.id limit 3;
update loom set name = upper(name) where id % 500 = 0;
select group_concat(name, ';') from loom where name glob 'LOOM*';
begin; delete from loom where id > 10; rollback;
select count(*) from loom;
select printf('%.3f %d %s', 3.14159, 42, 'x'), hex('weft'), substr('selvedge', 2, 3);
