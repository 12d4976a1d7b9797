// A backend for StatsD that prints every flush as one line of JSON, for a test to wait for.

exports.init = (startedAt, config, events) => {
  events.on('flush', (at, { gauges, counters }) => console.log(JSON.stringify({ gauges, counters })));
  return true;
};
