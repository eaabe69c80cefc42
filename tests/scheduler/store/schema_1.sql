-- A store of schema 1 as XiP 0.1 wrote it: one run in the middle of its eight tiles, one finished run.
PRAGMA application_id = 1483296851;
BEGIN TRANSACTION;
CREATE TABLE meta (
	name TEXT NOT NULL,
	value INTEGER NOT NULL,
	PRIMARY KEY (name)
);
INSERT INTO "meta" VALUES('schema_version',1);
INSERT INTO "meta" VALUES('term',1);
INSERT INTO "meta" VALUES('epoch_end',10000);
CREATE TABLE node_tally (
	run_key INTEGER NOT NULL,
	node_id INTEGER NOT NULL,
	tiles_done INTEGER NOT NULL,
	cell_count INTEGER NOT NULL,
	quarantined_count INTEGER NOT NULL,
	PRIMARY KEY (run_key, node_id),
	FOREIGN KEY(run_key) REFERENCES run (run_key)
) WITHOUT ROWID;
INSERT INTO "node_tally" VALUES(1,0,3,3,1);
INSERT INTO "node_tally" VALUES(2,0,8,8,0);
CREATE TABLE quarantine (
	quarantine_key INTEGER NOT NULL,
	run_key INTEGER NOT NULL,
	"row" INTEGER NOT NULL,
	scenario_begin INTEGER NOT NULL,
	scenario_end INTEGER NOT NULL,
	reason INTEGER NOT NULL,
	message TEXT NOT NULL,
	trade_id TEXT NOT NULL,
	PRIMARY KEY (quarantine_key),
	FOREIGN KEY(run_key) REFERENCES run (run_key)
);
INSERT INTO "quarantine" VALUES(1,1,4,0,1,5,'no curve','T4');
CREATE TABLE run (
	run_key INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	run_id TEXT NOT NULL,
	tenant TEXT NOT NULL,
	request_id TEXT NOT NULL,
	payload_hash TEXT NOT NULL,
	name TEXT NOT NULL,
	spec BLOB NOT NULL,
	plan_digest TEXT NOT NULL,
	state INTEGER NOT NULL,
	message TEXT DEFAULT '' NOT NULL,
	submitted_at_s DOUBLE NOT NULL,
	finished_at_s DOUBLE DEFAULT '0' NOT NULL,
	epoch_last INTEGER DEFAULT '0' NOT NULL,
	first_lease_after_s DOUBLE DEFAULT '0' NOT NULL,
	UNIQUE (tenant, request_id),
	UNIQUE (run_id)
);
INSERT INTO "run" VALUES(1,'r-live','desk','eod','hash-live','overnight',X'73706563','{plan_digest}',1,'',1767225600.25,0.0,0,0.0);
INSERT INTO "run" VALUES(2,'r-done','desk','intraday','hash-done','intraday',X'73706563','{finished_plan_digest}',2,'',1767222000.0,1767222060.5,3,0.25);
CREATE TABLE tile_detail (
	cursor INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	run_key INTEGER NOT NULL,
	node_id INTEGER NOT NULL,
	tile INTEGER NOT NULL,
	block BLOB NOT NULL,
	UNIQUE (run_key, node_id, tile),
	FOREIGN KEY(run_key) REFERENCES run (run_key)
);
INSERT INTO "tile_detail" VALUES(1,1,0,0,X'64657461696C206F662030');
INSERT INTO "tile_detail" VALUES(2,1,0,1,X'64657461696C206F662031');
INSERT INTO "tile_detail" VALUES(3,2,0,0,X'64657461696C');
CREATE TABLE tile_output (
	run_key INTEGER NOT NULL,
	node_id INTEGER NOT NULL,
	tile INTEGER NOT NULL,
	block BLOB NOT NULL,
	PRIMARY KEY (run_key, node_id, tile),
	FOREIGN KEY(run_key) REFERENCES run (run_key)
);
INSERT INTO "tile_output" VALUES(1,0,0,X'6F7574707574206F662030');
CREATE TABLE tile_record (
	run_key INTEGER NOT NULL,
	node_id INTEGER NOT NULL,
	tile_begin INTEGER NOT NULL,
	tile_end INTEGER NOT NULL,
	epoch INTEGER NOT NULL,
	worker_key INTEGER NOT NULL,
	cell_count INTEGER NOT NULL,
	quarantined_count INTEGER NOT NULL,
	PRIMARY KEY (run_key, node_id, tile_begin),
	FOREIGN KEY(run_key) REFERENCES run (run_key)
) WITHOUT ROWID;
INSERT INTO "tile_record" VALUES(1,0,0,2,1,1,2,0);
INSERT INTO "tile_record" VALUES(1,0,4,5,2,2,1,1);
INSERT INTO "tile_record" VALUES(2,0,0,8,3,1,8,0);
CREATE TABLE worker (
	worker_key INTEGER NOT NULL,
	worker_id TEXT NOT NULL,
	PRIMARY KEY (worker_key),
	UNIQUE (worker_id)
);
INSERT INTO "worker" VALUES(1,'w1');
INSERT INTO "worker" VALUES(2,'w2');
CREATE INDEX run_by_state ON run (state);
CREATE INDEX tile_detail_by_run ON tile_detail (run_key, cursor);
CREATE INDEX quarantine_by_run ON quarantine (run_key, quarantine_key);
CREATE TRIGGER tile_record_once BEFORE INSERT ON tile_record
WHEN EXISTS (
    SELECT 1 FROM (
        SELECT tile_end FROM tile_record
         WHERE run_key = new.run_key AND node_id = new.node_id AND tile_begin < new.tile_end
         ORDER BY tile_begin DESC LIMIT 1
    ) WHERE tile_end > new.tile_begin
)
BEGIN
    SELECT CASE WHEN EXISTS (
        SELECT 1 FROM tile_record
         WHERE run_key = new.run_key AND node_id = new.node_id AND tile_begin = new.tile_begin
           AND tile_end = new.tile_end AND epoch = new.epoch
    ) THEN RAISE(IGNORE) ELSE RAISE(ABORT, 'a tile is recorded once') END;
END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('run',2);
INSERT INTO "sqlite_sequence" VALUES('tile_detail',3);
COMMIT;
