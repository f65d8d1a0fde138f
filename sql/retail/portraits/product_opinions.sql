-- Per product and aspect: how many texts praise and blame it, of all that name it, in the days of `$text_window_days`.
-- grain: as_of, product_id, aspect
-- store: table
-- publish: as_of
-- why: `all` stands for every aspect and counts texts by their polarity; the interval of the share that blames is Wilson's at 95 %
with
texts as (
    select
        product_id,
        polarity,
        score,
        aspects
    from facts.text_opinions
    where
        product_id is not null
        and polarity is not null
        and written_at < $as_of
        and local_date($as_of, $time_zone) - written_date <= $text_window_days
),

statements as (
    select
        product_id,
        unnest(aspects) as statement
    from texts
),

said as (
    select
        product_id,
        'all' as aspect,
        polarity,
        score
    from texts
    union all
    select
        product_id,
        statement['aspect'] as aspect,
        statement['polarity'] as polarity,
        cast(statement['score'] as decimal(5, 4)) as score
    from statements
),

counts as (
    select
        product_id,
        aspect,
        count(*) as texts,
        count(*) filter (where polarity = 'positive') as positive_texts,
        count(*) filter (where polarity = 'negative') as negative_texts,
        sum(score) as score_sum
    from said
    group by product_id, aspect
),

-- 1.96 is the quantile of the normal distribution at 97.5 %, 3.8416 its square
shares as (
    select
        product_id,
        aspect,
        texts,
        positive_texts,
        negative_texts,
        score_sum,
        cast(texts as double) as n,
        cast(negative_texts as double) / texts as share
    from counts
)

select
    $as_of as as_of,
    s.product_id,
    p.category,
    s.aspect,
    s.texts,
    s.positive_texts,
    s.negative_texts,
    cast(cast(s.score_sum as double) / s.n as decimal(5, 4)) as mean_score,
    cast(s.share as decimal(7, 6)) as negative_share,
    cast(
        (s.share + 3.8416 / (2 * s.n) - 1.96 * sqrt((s.share * (1 - s.share) + 3.8416 / (4 * s.n)) / s.n))
        / (1 + 3.8416 / s.n) as decimal(7, 6)
    ) as negative_share_low,
    cast(
        (s.share + 3.8416 / (2 * s.n) + 1.96 * sqrt((s.share * (1 - s.share) + 3.8416 / (4 * s.n)) / s.n))
        / (1 + 3.8416 / s.n) as decimal(7, 6)
    ) as negative_share_high
from shares as s
left join staging.products as p on s.product_id = p.product_id
