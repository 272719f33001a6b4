// Draws the page's charts (report/chart.h describes them) with Chart.js, in the colours of the page's styles: light, dark or on paper.
'use strict';
(() => {
  const described = JSON.parse(document.getElementById('charts').textContent);
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim();
  const faded = (hex, alpha) => hex + Math.round(255 * alpha).toString(16).padStart(2, '0');

  const rounded = (value, digits) => String(Number(value.toPrecision(digits)));
  const plain = (value) => {
    const size = Math.abs(value);
    if (value !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(1).replace('.0e', 'e').replace('e+', 'e');
    return rounded(value, 4);
  };
  const scaled = (value, steps) => {
    const step = steps.find(([size]) => Math.abs(value) >= size) || steps[steps.length - 1];
    return rounded(value / step[0], 3) + ' ' + step[1];
  };
  const units = {
    plain,
    percent: (value) => rounded(100 * value, 4) + ' %',
    bytes: (value) => (value === 0 ? '0' : scaled(value, [[1e12, 'TB'], [1e9, 'GB'], [1e6, 'MB'], [1e3, 'kB'], [1, 'B']])),
    seconds: (value) => (value === 0 ? '0' : scaled(value, [[1, 's'], [1e-3, 'ms'], [1e-6, '\u00b5s']])),
  };

  // Room left and right of dots on a logarithmic axis, where Chart.js leaves none.
  const logRoom = (description) => {
    const xs = description.curves.flatMap((curve) => curve.x).filter((x) => x > 0);
    return xs.length === 0 ? {} : { min: Math.min(...xs) / 1.7, max: Math.max(...xs) * 1.7 };
  };

  // One axis of Chart.js; `tight`: from the first value to the last.
  const scale = (axis, tight) => {
    const write = units[axis.unit];
    const readable = (value) => (axis.zero_at && Math.abs(value / axis.zero_at - 1) < 1e-9 ? '0' : write(value));
    const options = {
      type: axis.log ? 'logarithmic' : 'linear',
      beginAtZero: axis.from_zero,
      grid: { color: colour('grid'), borderColor: colour('line'), tickColor: colour('line') },
      title: { display: axis.title !== '', text: axis.title, color: colour('soft') },
      ticks: { color: colour('soft'), maxRotation: 0, autoSkipPadding: 12, includeBounds: !tight, callback: readable },
      grace: axis.from_zero || axis.log || tight ? 0 : '4%',
      bounds: tight ? 'data' : 'ticks',
      ...(tight && axis.from_zero ? { min: 0 } : {}),
    };
    if (axis.names) {
      Object.assign(options, { min: -0.6, max: axis.names.length - 0.4, reverse: true, grace: 0 });
      Object.assign(options.ticks, { autoSkip: false, color: colour('ink'), callback: (value) => axis.names[value] ?? '' });
      options.grid.color = 'transparent';
      options.afterBuildTicks = (built) => { built.ticks = axis.names.map((_, value) => ({ value })); };
    } else if (axis.log) {
      // Powers of ten; where there are few of them, also 2 and 5 times them.
      options.afterBuildTicks = (built) => {
        const few = Math.log10(built.max / built.min) < 2.5;
        const ticks = [];
        for (let power = Math.floor(Math.log10(built.min)); power <= Math.ceil(Math.log10(built.max)); ++power) {
          for (const factor of few ? [1, 2, 5] : [1]) ticks.push(factor * 10 ** power);
        }
        const shown = (value) => value >= built.min && value <= built.max && !(axis.zero_at && value < 2.5 * axis.zero_at);
        built.ticks = ticks.filter(shown).map((value) => ({ value }));
        if (axis.zero_at) built.ticks.unshift({ value: axis.zero_at });
      };
      options.ticks.autoSkip = false;
    }
    return options;
  };

  // From the least to the largest value along an axis, whiskers included.
  const reach = (curves, axis) => {
    const values = curves.flatMap((curve) => {
      const whiskers = (curve.whiskers === 'x' ? 'x' : 'y') === axis ? [...(curve.low ?? []), ...(curve.high ?? [])] : [];
      return [...curve[axis], ...whiskers].filter((value) => value !== null);
    });
    return values.length === 0 ? {} : { suggestedMin: Math.min(...values), suggestedMax: Math.max(...values) };
  };

  const points = (curve, ys) => curve.x.map((x, k) => ({ x, y: ys[k] ?? NaN }));

  // What stands for one curve: its line or dots, and before them the two edges of its band.
  const datasets = (curve) => {
    const main = colour(curve.role);
    const dots = curve.style === 'dots';
    const line = {
      label: curve.name, data: points(curve, curve.y), borderColor: main, backgroundColor: main, showLine: !dots, curve,
      borderWidth: { thin: 1, dashed: 1.75 }[curve.style] ?? 2, borderDash: curve.style === 'dashed' ? [5, 4] : [],
      stepped: curve.style === 'steps' ? 'after' : false,
      pointRadius: dots ? 5 : curve.x.length === 1 ? 3 : 0, pointHitRadius: 6, pointHoverRadius: dots ? 7 : 3,
      order: curve.style === 'thin' ? 2 : dots ? 0 : 1, clip: dots ? false : undefined,
    };
    if (!curve.low || dots) return [line];
    const edge = { borderWidth: 0, pointRadius: 0, pointHitRadius: 0, pointHoverRadius: 0, backgroundColor: faded(main, 0.16), order: 3 };
    const low = { ...edge, data: points(curve, curve.low), fill: false };
    const high = { ...edge, data: points(curve, curve.high), fill: '-1' };
    return [low, high, line];
  };

  const upright = (chart, x, draw) => {
    const at = chart.scales.x.getPixelForValue(x);
    const { left, right, top, bottom } = chart.chartArea;
    if (at >= left && at <= right) draw(chart.ctx, at, top, bottom);
  };

  // Beside their dots, each where it covers no dot and no other label; one that finds no such place is left to the tooltip.
  const writeLabels = ({ ctx, scales, chartArea, data }) => {
    const dots = data.datasets.flatMap(({ curve }) => (curve && curve.style === 'dots' ? curve.x.map((x, k) => (
      { x: scales.x.getPixelForValue(x), y: scales.y.getPixelForValue(curve.y[k]), label: curve.labels?.[k] })) : []));
    const taken = dots.map(({ x, y }) => ({ left: x - 6, right: x + 6, top: y - 6, bottom: y + 6 }));
    const apart = (a, b) => a.right < b.left || a.left > b.right || a.bottom < b.top || a.top > b.bottom;
    const free = (box) => box.left >= chartArea.left && box.right <= chartArea.right + 8 && box.top >= chartArea.top - 4
      && box.bottom <= chartArea.bottom && taken.every((other) => apart(box, other));
    ctx.save();
    ctx.font = '12px system-ui, sans-serif';
    ctx.fillStyle = colour('ink');
    ctx.textAlign = 'left';
    ctx.textBaseline = 'middle';
    for (const { x, y, label } of dots) {
      if (label === undefined) continue;
      const width = ctx.measureText(label).width;
      const left = -10 - width, middle = -width / 2;
      const box = [[10, -10], [10, 10], [left, -10], [left, 10], [10, 0], [left, 0], [middle, -18], [middle, 18]]
        .map(([dx, dy]) => ({ left: x + dx, right: x + dx + width, top: y + dy - 7, bottom: y + dy + 7 })).find(free);
      if (box === undefined) continue;
      taken.push(box);
      ctx.fillText(label, box.left, (box.top + box.bottom) / 2);
    }
    ctx.restore();
  };

  // Whiskers and labels of dots, and upright marks: what Chart.js does not draw by itself.
  const extras = (description) => ({
    id: 'extras',
    beforeDatasetsDraw(chart) {
      chart.ctx.save();
      for (const mark of description.marks ?? []) {
        upright(chart, mark.x, (ctx, at, top, bottom) => {
          ctx.strokeStyle = ctx.fillStyle = colour('bad');
          ctx.setLineDash([3, 3]);
          ctx.beginPath();
          ctx.moveTo(at, top);
          ctx.lineTo(at, bottom);
          ctx.stroke();
          const leftwards = at > (chart.chartArea.left + chart.chartArea.right) / 2;
          ctx.textAlign = leftwards ? 'right' : 'left';
          ctx.font = '11px system-ui, sans-serif';
          ctx.fillText(mark.text, at + (leftwards ? -4 : 4), top + 10);
        });
      }
      chart.ctx.restore();
    },
    afterDatasetsDraw(chart) {
      const { ctx, scales } = chart;
      ctx.save();
      for (const { curve } of chart.data.datasets) {
        if (!curve || curve.style !== 'dots') continue;
        const along = curve.whiskers === 'x';
        const place = (x, y) => [scales.x.getPixelForValue(x), scales.y.getPixelForValue(y)];
        ctx.strokeStyle = colour(curve.role);
        ctx.lineWidth = 1.5;
        (curve.low ?? []).forEach((low, k) => {
          const high = curve.high[k];
          if (low === null || high === null) return;
          ctx.beginPath();
          ctx.moveTo(...(along ? place(low, curve.y[k]) : place(curve.x[k], low)));
          ctx.lineTo(...(along ? place(high, curve.y[k]) : place(curve.x[k], high)));
          ctx.stroke();
        });
      }
      ctx.restore();
      writeLabels(chart);
    },
  });

  const tooltip = (description) => ({
    filter: (item) => item.dataset.curve !== undefined,
    callbacks: {
      title: (items) => {
        if (items.length === 0 || description.y.names) return '';
        const { title, unit, zero_at } = description.x;
        const x = items[0].parsed.x;
        return (title === '' ? '' : title + ' ') + (zero_at && x <= 1.0001 * zero_at ? '0' : units[unit](x));
      },
      label: (item) => {
        const { curve, label } = item.dataset;
        const [axis, value] = description.y.names ? [description.x, item.parsed.x] : [description.y, item.parsed.y];
        const write = units[axis.unit];
        const range = curve.low ? ' (' + write(curve.low[item.dataIndex]) + ' to ' + write(curve.high[item.dataIndex]) + ')' : '';
        return (label === '' ? '' : label + ': ') + write(value) + range;
      },
    },
  });

  const draw = (description) => {
    const scattered = description.y.names !== undefined || description.curves.some((curve) => curve.style === 'steps');
    Chart.getChart(description.id)?.destroy();
    return new Chart(description.id, {
      type: 'line',
      data: { datasets: description.curves.flatMap(datasets) },
      plugins: [extras(description)],
      options: {
        animation: false, responsive: true, maintainAspectRatio: false, parsing: false, normalized: !scattered, spanGaps: false,
        layout: { padding: { right: 8, top: 4 } },
        interaction: { mode: 'nearest', intersect: false, axis: description.y.names ? 'y' : 'xy' },
        scales: {
          x: { ...(description.y.names ? reach(description.curves, 'x') : {}), ...scale(description.x, !scattered), ...(description.x.log ? logRoom(description) : {}) },
          y: { ...(scattered && !description.y.names ? reach(description.curves, 'y') : {}), ...scale(description.y, false) },
        },
        plugins: { legend: { display: false }, tooltip: tooltip(description) },
      },
    });
  };
  const drawAll = () => described.forEach(draw);

  Chart.defaults.font.family = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';
  Chart.defaults.font.size = 12;
  drawAll();
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawAll);
  // Paper is white, and shows what is folded on a screen.
  addEventListener('beforeprint', () => {
    document.documentElement.classList.add('on-paper');
    document.querySelectorAll('details').forEach((fold) => { fold.open = true; });
    drawAll();
  });
  addEventListener('afterprint', () => {
    document.documentElement.classList.remove('on-paper');
    drawAll();
  });
})();
