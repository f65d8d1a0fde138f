-- Customer records of the web shop, the tills and the app, as each system keeps them.
-- grain: account_id
-- ingested_at: ingested_at
create external table raw.crm_customers (
    account_id varchar,
    system varchar,
    full_name varchar,
    email varchar,
    phone varchar,
    birth_date varchar,
    age int,
    gender varchar,
    address varchar,
    city varchar,
    region varchar,
    registered_at timestamp(6),
    updated_at timestamp(6),
    ingested_at timestamp(6)
)
stored as parquet
location 'raw/crm_customers/'
