// The entry of plotly-charts.min.js: the core of plotly.js and only the kinds of chart that pages draw.
import Plotly from "plotly.js/lib/core";
import bar from "plotly.js/lib/bar";
import scatter from "plotly.js/lib/scatter";
import pie from "plotly.js/lib/pie";
import histogram from "plotly.js/lib/histogram";
import heatmap from "plotly.js/lib/heatmap";
import treemap from "plotly.js/lib/treemap";
import icicle from "plotly.js/lib/icicle";
import sunburst from "plotly.js/lib/sunburst";

Plotly.register([bar, scatter, pie, histogram, heatmap, treemap, icicle, sunburst]);
export default Plotly;
