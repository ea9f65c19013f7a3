-- Tables a HIS and the gateway meet at, as the shipped mapping generic-sql reads them. Runs on PostgreSQL and on
-- MySQL or MariaDB. The HIS writes a request with its diagnoses and fees in one transaction, status 0; the gateway
-- writes yb_result and the status in one: 1 done, 9 refused, 2 the outcome is being found out (never send it again
-- under another req_id; the row changes by itself).

create table yb_request (
  req_id        varchar(64) primary key,  -- never given twice: the same number is the same request
  event         varchar(20) not null,     -- OP_BILL OP_SETTLE OP_REFUND OP_ASK IP_ADMIT IP_CHARGE IP_DISCHARGE IP_TRIAL IP_SETTLE IP_UNDO IP_ASK
  account       varchar(50) not null,     -- of the bill or the stay, from its opening to its end
  operator_id   varchar(30) not null,
  operator_name varchar(50) not null,
  cert_type     varchar(3),               -- what the patient shows: 02 identity card (default), 03 card, 01 code
  cert_no       varchar(200),
  card_sn       varchar(50),
  id_no         varchar(50),
  name          varchar(50),
  insutype      varchar(6),
  use_account   char(1),
  visit_no      varchar(30),
  record_no     varchar(30),
  visit_type    varchar(10),              -- OP ER CHRONIC IP
  begin_time    timestamp null,
  end_time      timestamp null,
  dept_code     varchar(30),
  dept_name     varchar(100),
  caty          varchar(10),
  bed           varchar(30),
  doctor_code   varchar(30),
  doctor_name   varchar(50),
  complaint     varchar(1000),
  disease_code  varchar(30),
  disease_name  varchar(200),
  oper_code     varchar(30),
  oper_name     varchar(200),
  sent_home     varchar(3),
  back_to       varchar(20),              -- of IP_UNDO: settlement discharge fees admission
  invoice_no    varchar(50),
  expect_cash   decimal(16,2),
  created_at    timestamp not null default current_timestamp,
  status        char(1) not null default '0'
);

create table yb_diagnosis (
  req_id      varchar(64) not null,
  line_no     int not null,
  diag_type   varchar(3),                 -- W T
  diag_code   varchar(30) not null,
  diag_name   varchar(200) not null,
  diag_time   timestamp null,
  doctor_code varchar(30),
  doctor_name varchar(50),
  primary key (req_id, line_no)
);

create table yb_fee (
  req_id      varchar(64) not null,
  fee_id      varchar(30) not null,
  refund_of   varchar(30),                -- of a row that takes another back: quantity and amount are negative
  item_code   varchar(50),
  item_name   varchar(200),
  quantity    decimal(16,4),
  price       decimal(16,6),
  amount      decimal(16,2),
  fee_time    timestamp null,
  dept_code   varchar(30),
  dept_name   varchar(100),
  doctor_code varchar(30),
  doctor_name varchar(50),
  approved    varchar(3),
  circulated  varchar(3),
  rx_no       varchar(40),
  primary key (req_id, fee_id)
);

create table yb_result (
  req_id     varchar(64) primary key,
  final      char(1) not null,
  outcome    varchar(10) not null,        -- done refused queued unknown ignored
  code       varchar(64),
  text       varchar(400),
  next       varchar(400),
  detail     varchar(400),                -- the centre's own words
  place      varchar(1000),               -- what is wrong where
  request_id varchar(64),
  id         varchar(64),                 -- the gateway's id of the bill or stay
  state      varchar(64),
  setl_id    varchar(64),
  mdtrt_id   varchar(64),
  msgid      varchar(64),
  charged    varchar(64),
  total      varchar(64),
  fund       varchar(64),
  account    varchar(64),
  cash       varchar(64),
  person     varchar(64),
  balance    varchar(64),
  mapping    varchar(64)
);

create view v_yb_request as select * from yb_request;
