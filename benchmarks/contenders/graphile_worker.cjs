// Graphile Worker: a local queue, and completions in batches, as its page on performance advises.
"use strict";

const { Logger, makeWorkerUtils, run } = require("graphile-worker");
const { Pool } = require("pg");
const { Unable, main, payload, running, seen, sleep } = require("./agent.cjs");

const logger = new Logger(() => () => {});
const LOCAL_QUEUE = 500;

async function noop({ sent, seconds }) {
  seen(sent);
  if (seconds) await sleep(seconds);
}

async function noted({ key, seconds }) {
  seen(0);
  await running(key, () => sleep(seconds));
}

main((url, options) => {
  let pool;
  let utils;
  return {
    async install() {
      const utils = await makeWorkerUtils({ connectionString: url, logger });
      await utils.migrate();
      await utils.release();
    },
    async open(connections) {
      pool = new Pool({ connectionString: url, max: connections });
      pool.on("error", () => {});
      utils = await makeWorkerUtils({ pgPool: pool, logger });
    },
    async close() {
      await utils.release();
      await pool.end();
    },
    async enqueue({ sent }) {
      await utils.addJob("noop", { sent });
    },
    async fill({ count, sent = 0, priorities = 1, size = 0, seconds = 0 }) {
      const job = { sent, body: payload(size), seconds };
      const specs = Array.from({ length: count }, (_, n) => ({
        identifier: "noop",
        payload: job,
        priority: n % priorities,
      }));
      await utils.addJobs(specs);
    },
    async fill_limited({ count, keys, limit, seconds }) {
      if (limit !== 1) throw new Unable("a named queue runs one job at a time, and no other number");
      const specs = Array.from({ length: count }, (_, n) => {
        const key = `k${n % keys}`;
        return { identifier: "noted", payload: { key, seconds }, queueName: key };
      });
      await utils.addJobs(specs);
    },
    async schedule({ due }) {
      await utils.addJobs(
        due.map((at) => ({ identifier: "noop", payload: { sent: at }, runAt: new Date(at * 1000) })),
      );
    },
    async unfinished() {
      const found = await pool.query("SELECT EXISTS (SELECT FROM graphile_worker._private_jobs) AS there");
      return found.rows[0].there;
    },
    async work(concurrency, ready, stopped) {
      const batching = options.batching
        ? { localQueue: { size: LOCAL_QUEUE }, completeJobBatchDelay: 0, failJobBatchDelay: 0 }
        : {};
      const runner = await run({
        connectionString: url,
        concurrency,
        noHandleSignals: true,
        taskList: { noop, noted },
        preset: { worker: { ...batching, logger } },
        logger,
      });
      ready();
      await stopped;
      await runner.stop();
    },
  };
});
