-- The master file: customer, date, number of CDs and dollars, in columns of spaces under a line of names.
-- grain: line
-- event_time: parse_date(split_part(fold_width(line), ' ', 2))
-- clock: true
-- why: read as one column, with a delimiter that does not occur, since the width of the gaps varies
create external table raw.cdnow (
    line varchar
)
stored as csv
location 'raw/cdnow/'
options ('format.has_header' 'true', 'format.delimiter' '|')
