-- What `tests/revisions.txt` pins: for each function, and for the engine, queries over fixed inputs with bad input, NULLs and
-- extremes. Statements stand between empty lines; `-- function NAME` and `-- engine` say what those after them pin. Models
-- are those of the pinned trainers, as `$kind`.

create table texts as
select column1 as t, column2 as u
from (
    values
    (null, 'a'), ('', ''), ('  ', null), (' A1 ', 'a1'), ('Ａ　ｂ', 'A b'), ('martha', 'marhta'), ('ﬁ½①㍿', 'fi'), ('ǅ', 'e´'),
    ('Wang.Li＠Example.COM', 'wang.li@example.com'), ('a@b', 'a@b.c'), ('li+shop@gmial.com', 'li@gmail.com'), ('@', 'x@@y.cn'),
    ('138 1234 5678', 'CN'), ('+44 20 7946 0958', 'GB'), ('０１０－６２３４ ５６７８', 'CN'), ('tel:+1-202-555-0143', 'US'),
    ('00', 'FR'), ('12345', 'DE'), ('110', 'CN'), ('(650) 253-0000 ext. 7', 'US'), ('99999999999999999999', 'CN'),
    ('王　小明 先生', '王小明'), ('王小明', 'wang xiaoming'), ('歐陽娜娜', 'ouyang nana'), ('Mr. Wang', 'wang'), ('Smith, John', 'john smith'),
    ('XIAOMING Wang', 'wang xiaoming'), ('Müller-Lüdenscheidt', 'mueller'), ('O''Brien', 'obrien'), ('Dr. José María Ñ', 'jose maria n'),
    ('浙江杭州市西湖区文三路100号', '杭州市西湖区文三路１００号'), ('上海市浦东新区世纪大道1号 200120', '上海'), ('新疆维吾尔自治区喀什地区喀什市', '喀什'),
    ('12 Oak Street, Apt 4, Springfield, IL 62701', '12 oak st'), ('10 Downing St, London SW1A 2AA', 'london'), ('P.O. Box 7', 'po box 7'),
    ('2025年1月31日', '2025-01-31'), ('２０２５／１／３１', '31.1.2025'), ('2025-02-30', '20250131'), ('1/2/2025', '0001-01-01'), ('9999-12-31', '10000-01-01'),
    ('Jan 31, 2025', '31 January 2025'), ('20250131T10:00:00Z', '1738281600'), ('-1', '2025-01'),
    ('￥1,234.565', '1.234,56 €'), ('1e5', 'NaN'), ('(12.30)', '-12.3'), ('99999999999999999999', '0.005'), ('12.3.4', '１２元'),
    ('质量很好，就是有点贵', '物流很慢，但是客服态度很好'), ('客服：您好\n用户：太差了，不会再买', '不是不好'), ('质量非常好！！！', '呵呵，真好'),
    ('The book was good.', 'it broke after two days'), ('NOT bad at all :)', 'la calidad es buena'), ('great service, but delivery was slow', 'meh'),
    ('iPhone 很好用', 'iphone'), ('👍👍', '🙂'), ('𠮷野家', 'ｶﾞ'), ('a' || chr(1) || 'b', 'ab')
) as v

create table numbers as
select column1 as x, column2 as n
from (
    values
    (cast(null as double), 1), (0.0, 2), (-0.0, 3), (1.0, 4), (-1.0, 5), (0.5, 6), (2.0, 7), (10.0, 8),
    (1e-300, 9), (1e300, 10), (-1e300, 11), (2.5, 12), (0.005, 13), (1.005, 14), (123456789.125, 15),
    (arrow_cast('NaN', 'Float64'), 16), (arrow_cast('inf', 'Float64'), 17),
    (arrow_cast('-inf', 'Float64'), 18), (4.9e-324, 19), (1.7976931348623157e308, 20), (0.1, 21),
    (0.30000000000000004, 22), (3.141592653589793, 23), (99999999999999.99, 24), (9007199254740993.0, 25)
) as v

create table days as
select column1 as d, arrow_cast(column1, 'Timestamp(Microsecond, None)') + interval '17 hours 30 minutes' as i
from (
    values
    (cast(null as date)), (date '1970-01-01'), (date '1969-12-31'), (date '2025-01-31'), (date '2025-03-09'), (date '2025-03-30'),
    (date '2025-11-02'), (date '1986-05-04'), (date '1918-03-31'), (date '1900-01-01'), (date '2018-11-04'), (date '2100-02-28'), (date '0001-01-01'),
    (date '9999-12-31')
) as v

create table zones as
select column1 as zone
from (values ('UTC'), ('Asia/Shanghai'), ('Europe/Paris'), ('America/New_York'), ('America/Sao_Paulo'), ('Australia/Lord_Howe'), ('Asia/Kathmandu'), (null)) as v

create table events as
select
    n,
    n % 7 as g,
    case when n % 13 <> 0 then chr(cast(97 + n * n % 11 as bigint)) end as v,
    case when n % 17 <> 0 then n * 37 % 101 - 20 end as w,
    case when n % 19 <> 0 then arrow_cast(1735689600000000 + n * n % 997 * 137000000, 'Timestamp(Microsecond, None)') end as i,
    case when n % 11 <> 0 then cast(n * 7919 % 1013 as double) / 8.0 - 40.0 end as x,
    case when n % 23 <> 0 then cast(cast(20077 + n * 31 % 90 as int) as date) end as d,
    n * 29 % 24 as h,
    n % 3 = 0 as a,
    n % 4 = 1 as b,
    n % 5 = 2 as c
from (select unnest(generate_series(1, 400)) as n) as s

create table points as
select g, make_array(x, cast(w as double), cast(h as double)) as p
from events
union all
select null as g, null as p

-- function fold_width

select t, fold_width(t), fold_width(u) from texts

-- function trim_to_null

select t, trim_to_null(t), trim_to_null(u) from texts

-- function normalize_email

select t, normalize_email(t), normalize_email(u) from texts

-- function normalize_name

select t, normalize_name(t), normalize_name(u) from texts

-- function latin_name

select t, latin_name(t), latin_name(u) from texts

-- function normalize_phone

select t, normalize_phone(t, 'CN'), normalize_phone(t, 'US'), normalize_phone(t, 'GB'), normalize_phone(t, 'FR'), normalize_phone(t, null) from texts

-- function closest

select t, closest(t, ['gmail.com', null, 'martha', '王小明'], 2), closest(u, ['a', 'b'], 0), closest(t, null, 1) from texts

-- function edit_distance

select t, u, edit_distance(t, u), edit_distance(t, 'martha') from texts

-- function jaro_winkler

select t, u, jaro_winkler(t, u), jaro_winkler(t, 'martha') from texts

-- function name_similarity

select t, u, name_similarity(t, u), name_similarity(t, 'wang xiaoming') from texts

-- function pseudonym

select t, pseudonym(t, '{key}'), pseudonym(u, '{key}') from texts

-- function split_address

select t, split_address(t), split_address(u) from texts

-- function text_aspects

select t, text_aspects(t), text_aspects(u) from texts

-- function text_language

select t, text_language(t), text_language(u) from texts

-- function text_sentiment

select t, text_sentiment(t), text_sentiment(u) from texts

-- function vader_compound

select t, vader_compound(t), vader_compound(u) from texts

-- function out_of_range

select d, i, out_of_range('1900-01-01', '2200-01-01', d), out_of_range('1970-01-01', '2025-01-31', i, d) from days

-- function parse_date

select t, parse_date(t), parse_date(u) from texts

-- function to_money

select t, to_money(t), to_money(u) from texts

select n, to_money(x), to_money(cast(n as int)), to_money(cast(n as decimal(10, 4)) / 7) from numbers

-- function local_date

select i, zone, local_date(i, zone), local_date(arrow_cast(i, 'Timestamp(Second, None)'), zone) from days cross join zones

-- function local_hour

select i, zone, local_hour(i, zone), local_hour(arrow_cast(i, 'Timestamp(Second, None)'), zone) from days cross join zones

-- function local_dow

select i, zone, local_dow(i, zone), local_dow(arrow_cast(i, 'Timestamp(Second, None)'), zone) from days cross join zones

-- function day_start

select d, zone, day_start(d, zone) from days cross join zones

-- function interval_index

select i, interval_index([timestamp '1970-01-01', timestamp '2025-01-31', timestamp '2025-02-01'], i), interval_index(null, i) from days

-- function exp

select n, exp(x) from numbers

-- function expm1

select n, expm1(x) from numbers

-- function ln

select n, ln(x) from numbers

-- function log

select n, log(x), log(2, x), log(x, 2), log(10.0, x) from numbers

-- function log10

select n, log10(x) from numbers

-- function log1p

select n, log1p(x) from numbers

-- function log2

select n, log2(x) from numbers

-- function power

select a.n, b.n, power(a.x, b.x), pow(a.x, 2) from numbers as a cross join numbers as b

-- function wilson_interval

select n, w, wilson_interval(n, 400, 1.959964), wilson_interval(w, n, 2.5758), wilson_interval(null, n, 1.0) from events

-- function newcombe_interval

select n, w, newcombe_interval(n, 400, w, 100, 1.959964), newcombe_interval(h, 24, h, 30, 1.0) from events

-- function two_proportion_p

select n, w, two_proportion_p(n, 400, w, 100), two_proportion_p(h, 24, h, 30) from events

-- function suppressed_cells

select suppressed_cells([3, 40, 50, 30, 60, 70, 33, 100, 120], 3, 20), suppressed_cells([0, 1, 2, 19, 20, 21], 2, 20), suppressed_cells([5], 1, 20)

select h, suppressed_cells([h, 2 * h, 100 - h, h * h, 7, 19, 20, 300, 1], 3, 20) from (select distinct h from events) as hours

-- function population_stability

select h, population_stability([.5, .25, .25], [h, 24 - h, 3]), population_stability([0, 1], [h, 0]), population_stability(null, [1]) from (select distinct h from events) as hours

-- function kmeans_assign

select p, kmeans_assign(p, $kmeans) from points

-- function kmeans_bins

select p, kmeans_bins(p, $kmeans) from points

-- function kmeans_explain

select p, kmeans_explain(p, $kmeans) from points

-- function kmeans_grid

select p, kmeans_grid(p, $kmeans) from points

-- function kmeans_scale

select p, kmeans_scale(p, $kmeans) from points

-- function kmeans_segment_name

select h, kmeans_segment_name(h, $kmeans), kmeans_segment_name(h, $kmeans, 'zh'), kmeans_segment_name(null, $kmeans) from (values (0), (1)) as v (h)

-- function density_assign

select p, density_assign(p, $hdbscan) from points

-- function density_explain

select p, density_explain(p, $hdbscan) from points

-- function density_segment_name

select h, density_segment_name(h, $hdbscan), density_segment_name(null, $hdbscan), density_segment_name(h, $hdbscan, 'zh') from (values (0), (1), (2), (3), (4)) as v (h)

-- function factor_scores

select p, factor_scores(p, $factors) from points

-- function quantile_score

select n, quantile_score(x, $reference, 'x'), quantile_score(x, $reference, 'w') from numbers

-- function reference_mean

select reference_mean($reference, 'x'), reference_mean($reference, 'w'), reference_mean($reference, null)

-- function match_weights

select n, match_weights([n % 3, n % 2, case when n % 5 <> 0 then n % 2 end], [case when n % 4 = 0 then 0.01 end, null, 0.3], $linkage) from events

-- function link_clusters

select
    g,
    link_clusters(array_agg(named_struct('left_id', cast(h as varchar), 'right_id', v, 'weight', x) order by h, v, x), 200),
    link_clusters(array_agg(named_struct('left_id', cast(h as varchar), 'right_id', v, 'weight', x) order by h, v, x), 4)
from events
where v is not null
group by g

-- function cross_fields

select n, cross_fields(named_struct('v', v, 'h', h, 'a', a, 'none', cast(null as varchar)), 'v, a'), cross_fields(named_struct('v', v), '') from events

-- function make_array

select n, make_array(v, 'x', null), make_array(x, w), [n, h] from events

-- function named_values

select n, named_values(named_struct('v', v, 'h', h, 'a', a, 'x', x, 'd', d, 'i', i, 'l', make_array(v, 'z')), ['l', 'x', 'a', 'v', 'h', 'd', 'i']) from events

-- function row_hash

select n, row_hash(n), row_hash(v, w, i, x, d, a), row_hash(d, a, x, v), row_hash(make_array(v)), row_hash(named_struct('v', v, 'x', x)) from events

select n, row_hash(x), row_hash(cast(n as decimal(18, 2))) from numbers

-- function row_digest

select g, row_digest(row_hash(v, w)) from events group by g

select row_digest(row_hash(v, w)) from events where n < 0

-- function active_days

select g, active_days(d), active_days(d) filter (where a) from events group by g

-- function entropy

select g, entropy(v), entropy(w), entropy(x), entropy(d), entropy(i) from events group by g

select entropy(v) from events where n < 0

-- function first_seen

select g, first_seen(v, i), first_seen(w, i), first_seen(d, i) from events group by g

-- function fixed_sum

select g, fixed_sum(x), fixed_sum(w) from events group by g

select fixed_sum(x), fixed_sum(-x) from numbers where abs(x) < 1e6

-- function hours_seen

select g, hours_seen(v, h), hours_seen(w, h) from events group by g

-- function join_sessions

select
    g,
    join_sessions(s, case when k <> 2 then v end, k = 1, interval '30 minutes')
from (
    select g, k, min(v) as v, session_paths(v, i, interval '30 minutes') as s
    from (select *, n % 3 as k from events) as e
    group by g, k
) as parts
group by g

-- function max_by

select g, max_by(v, w), max_by(v, i), max_by(x, d), max_by(i, x) from events group by g

-- function min_by

select g, min_by(v, w), min_by(v, i), min_by(x, d), min_by(i, x) from events group by g

-- function mode_by_weight

select g, mode_by_weight(v, w), mode_by_weight(d, h), mode_by_weight(x, 1) from events group by g

-- function quantile_disc

select g, quantile_disc(x, 0.5), quantile_disc(w, [0.0, 0.05, 0.25, 0.75, 1.0]), quantile_disc(i, 0.1), quantile_disc(d, 0.9) from events group by g

select quantile_disc(x, [0.0, 0.5, 0.9, 1.0]) from numbers

-- function sequence_match

select g, sequence_match('(?1)(?t<=1800)(?2)', i, a, b), sequence_match('(?1).*(?2)(?3)', i, a, b, c), sequence_match('(?3)(?t>86400)(?1)', i, a, b, c) from events group by g

-- function session_count

select g, session_count(i, interval '30 minutes'), session_count(i, interval '1 day') from events group by g

-- function session_paths

select g, session_paths(v, i, interval '30 minutes') from events group by g

-- function top_n

select g, top_n(v, w, 3), top_n(w, 1, 5), top_n(d, h, 1) from events group by g

-- function value_set

select g, value_set(v), value_set(w), value_set(x), value_set(d), value_set(make_array(w, h)) from events group by g

-- function vector_sum

select g, vector_sum(make_array(h, w, n)) from events where w is not null group by g

-- function week_hours

select g, week_hours(i, 'Asia/Shanghai'), week_hours(i, 'America/New_York') from events group by g

-- function window_funnel

select
    g,
    window_funnel(interval '1 hour', '', i, a, b, c),
    window_funnel(interval '2 days', 'strict_order', i, c, a, b),
    window_funnel(interval '2 days', 'strict_order, allow_reentry', i, a, b, c),
    window_funnel(interval '2 days', 'strict_increase', i, a, b, c)
from events
group by g

-- engine

select g, n, row_number() over (partition by g order by v, n) as first, row_number() over (partition by v order by x desc nulls last, n) as second from events

select g, v, n from (select *, row_number() over (partition by g, v order by i desc, n) as r from events) as e where r = 1

select l.n, r.n, l.v from events as l inner join events as r on l.g = r.g and l.v = r.v and l.h = r.h

select l.n, r.n from events as l left join (select * from events where a) as r on l.v = r.v and l.w = r.w

select l.n, r.n from (select * from events where b) as l full outer join (select * from events where c) as r on l.w = r.w

select n from events where v in (select v from events where n % 50 = 1) and n not in (select n from events where a)

select count(*), sum(w), min(i), max(x) from events where n < 0

select total from (select count(*) as total from events where n < 0) as t where 1 = 2

select g, count(*), count(distinct v), sum(w), avg(cast(w as decimal(18, 4))), min(x), max(d) from events group by g having count(*) > 57

select v, w from events union select v, h from events
