// A StatsD backend that prints every flush as one line of JSON, which the test reads.

exports.init = (startedAt, config, events) => {
  events.on('flush', (at, { gauges, counters }) => console.log(JSON.stringify({ gauges, counters })));
  return true;
};
