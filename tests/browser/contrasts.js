() => {
  // Contrast of every visible text with what is behind it, as WCAG 2 defines it.
  const channels = (text) => {
    const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number);
    return { r, g, b, a };
  };
  const luminance = ({ r, g, b }) => {
    const [x, y, z] = [r, g, b].map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    const box = element.closest?.("g.node")?.querySelector("rect");
    if (box) return channels(getComputedStyle(box).fill);
    for (let place = element; place; place = place.parentElement) {
      const colour = channels(getComputedStyle(place).backgroundColor);
      if (colour.a > 0) return colour;
    }
    return { r: 255, g: 255, b: 255 };
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.textContent.trim();
    if (!text || !element.checkVisibility() || ["SCRIPT", "NOSCRIPT", "TITLE", "desc", "title", "OPTION"].includes(element.tagName)) continue;
    const style = getComputedStyle(element);
    const colour = channels(element.closest("svg") ? style.fill : style.color);
    const [high, low] = [luminance(colour), luminance(behind(element))].sort((a, b) => b - a);
    found.push({ text: text.slice(0, 40), ratio: Number(((high + 0.05) / (low + 0.05)).toFixed(2)) });
  }
  return found;
}
