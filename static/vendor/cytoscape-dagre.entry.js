// The entry of cytoscape-dagre.min.js: the graph library and its layered layout.
import cytoscape from "cytoscape";
import dagre from "cytoscape-dagre";

cytoscape.use(dagre);
export default cytoscape;
