-- Words that stand in the names of few records: of at most one in 200, or of at most 20.
-- grain: word
-- store: table
-- why: with a frequent word, such as a common surname, pairs of equal birth dates would grow with the square of the records
with
words as (
    select first_word as word
    from identity.records
    where first_word is not null
    union all
    select second_word as word
    from identity.records
    where second_word is not null
),

total as (
    select count(*) as records
    from identity.records
),

counted as (
    select
        word,
        count(*) as records
    from words
    group by word
)

select c.word
from counted as c
cross join total as t
where c.records <= greatest(20, t.records / 200)
