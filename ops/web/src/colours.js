// Colours that hold on light and on dark ground: a hue for each domain, shades for its kinds; changes by Okabe and Ito.

const HUES = {
  assignment_group: [212, 80, 55], group_type: [205, 45, 60], role: [225, 35, 65],
  catalogue: [150, 60, 33], category: [155, 45, 42], catalogue_item: [145, 55, 42], record_producer: [128, 45, 42],
  order_guide: [165, 50, 38], content_item: [172, 42, 42], delivery_plan: [95, 45, 40], delivery_task: [85, 42, 42],
  criteria: [60, 50, 40], variable: [160, 16, 58], variable_set: [160, 24, 46], answer: [160, 10, 66],
  hr_service: [325, 60, 55], hr_template: [310, 45, 58], topic_detail: [335, 40, 62], topic_category: [345, 50, 58],
  assignment_rule: [28, 90, 50], lookup: [18, 80, 55], lookup_match: [22, 45, 62], lookup_set: [12, 45, 62],
  lookup_row: [34, 55, 58], channel: [265, 50, 58], queue: [275, 55, 60], pool: [285, 45, 62], agent_rule: [255, 35, 62],
  table: [0, 0, 45], column: [0, 0, 62], choice: [0, 0, 70], property: [50, 12, 55], missing: [5, 22, 58],
};
export const CHANGES = { added: "#009e73", changed: "#e69f00", removed: "#d55e00" };
export const MARKS = { added: "+", changed: "~", removed: "\u2212" };

export function colourOf(kind) {
  const [hue, saturation, light] = (HUES[kind] ?? [[...kind].reduce((sum, c) => (sum * 31 + c.codePointAt(0)) % 360, 7), 40, 55]).map(Number);
  return toHex(hue, saturation / 100, light / 100);
}

function toHex(hue, saturation, light) {
  const part = (n) => {
    const k = (n + hue / 30) % 12;
    const value = light - saturation * Math.min(light, 1 - light) * Math.max(-1, Math.min(k - 3, 9 - k, 1));
    return Math.round(255 * value).toString(16).padStart(2, "0");
  };
  return `#${part(0)}${part(8)}${part(4)}`;
}
