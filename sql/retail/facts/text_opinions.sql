-- What each text says: its language, whether it praises or blames, and what.
-- grain: written_date, text_id
-- store: daily
-- day: written_date
-- why: texts are read once, on the day they are written; their words stay in staging. `score` is that of the whole text, `polarity`
--    what it says of the aspect that it names first, or the whole where it names none
with
read as (
    select
        text_id,
        account_id,
        kind,
        product_id,
        rating,
        written_at,
        written_date,
        text_sentiment(body) as sentiment,
        text_aspects(body) as aspects
    from staging.texts
)

select
    text_id,
    account_id,
    kind,
    product_id,
    rating,
    written_at,
    written_date,
    sentiment['language'] as language,
    cast(sentiment['score'] as decimal(5, 4)) as score,
    coalesce(aspects[1]['polarity'], sentiment['polarity']) as polarity,
    aspects[1]['aspect'] as aspect,
    aspects
from read
