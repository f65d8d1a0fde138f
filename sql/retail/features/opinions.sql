-- What each customer wrote before `as_of`, in the days of `$text_window_days`: how much, how it feels, what it praises and blames.
-- grain: customer_id, orphan_account_id
-- store: table
-- quarantine: rule
-- weight: texts_read
-- why: texts of accounts that no customer record knows are orphans, one rejected row an account; texts in a language that is
--    not read count as read and say nothing
with
texts as (
    select
        p.customer_id,
        case when p.customer_id is null then t.account_id end as orphan_account_id,
        local_date($as_of, $time_zone) - t.written_date as days_ago,
        t.written_at,
        t.language,
        t.score,
        t.polarity,
        t.aspects
    from facts.text_opinions as t
    left join identity.account_person as p on t.account_id = p.account_id
    where t.written_at < $as_of
),

moods as (
    select
        customer_id,
        orphan_account_id,
        count(*) as texts_read,
        count(polarity) filter (where days_ago <= $text_window_days) as texts,
        count(*) filter (where days_ago <= $text_window_days and language = 'zh') as chinese_texts,
        count(*) filter (where days_ago <= $text_window_days and language = 'en') as english_texts,
        count(*) filter (where days_ago <= $text_window_days) as recent_texts,
        sum(score) filter (where days_ago <= $text_window_days) as score_sum,
        count(*) filter (where days_ago <= $text_window_days and polarity = 'positive') as positive_texts,
        count(*) filter (where days_ago <= $text_window_days and polarity = 'negative') as negative_texts,
        max(written_at) filter (where polarity = 'positive') as last_praise_at,
        max(written_at) filter (where polarity = 'negative') as last_blame_at
    from texts
    group by customer_id, orphan_account_id
),

statements as (
    select
        customer_id,
        days_ago,
        unnest(aspects) as statement
    from texts
    where customer_id is not null and days_ago <= $text_window_days
),

aspects as (
    select
        customer_id,
        statement['aspect'] as aspect,
        count(*) filter (where statement['polarity'] = 'positive') as praises,
        count(*) filter (where statement['polarity'] = 'negative') as blames,
        count(*) filter (where statement['polarity'] = 'negative' and days_ago <= $complaint_days) as complaints
    from statements
    group by customer_id, statement['aspect']
),

ranked as (
    select
        customer_id,
        aspect,
        praises,
        blames,
        complaints,
        row_number() over (partition by customer_id order by praises desc, blames, aspect) as praise_place,
        row_number() over (partition by customer_id order by blames desc, praises, aspect) as blame_place
    from aspects
),

named as (
    select
        customer_id,
        max(aspect) filter (where praise_place = 1 and praises > 0) as most_praised,
        max(aspect) filter (where blame_place = 1 and blames > 0) as most_blamed,
        array_agg(aspect order by complaints desc, aspect) filter (where complaints > 0) as complaints
    from ranked
    group by customer_id
)

select
    m.customer_id,
    m.orphan_account_id,
    m.texts_read,
    m.texts,
    case
        when m.recent_texts = 0 then null
        when m.chinese_texts + m.english_texts = 0 then 'other'
        when m.chinese_texts >= m.english_texts then 'zh'
        else 'en'
    end as language,
    m.score_sum,
    m.positive_texts,
    m.negative_texts,
    m.last_praise_at,
    m.last_blame_at,
    n.most_praised,
    n.most_blamed,
    n.complaints,
    case when m.customer_id is null then 'orphan_text' end as rule
from moods as m
left join named as n on m.customer_id = n.customer_id
