# Draws the four diagrams of docs/concepts.md. Usage, from the root of the repository: python3 docs/images/diagrams.py
HEAD = '''<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" aria-label="{alt}">
<style>text{{font:13px system-ui,sans-serif;fill:#1a1a1a}}.n{{font-size:11px;fill:#555}}line,path,rect.o,circle.o{{stroke:#555;fill:none;stroke-width:1.3}}
.a{{fill:#0072b2}}.b{{fill:#e69f00}}.c{{fill:#009e73}}.d{{fill:#cc79a7}}
@media (prefers-color-scheme:dark){{text{{fill:#eee}}.n{{fill:#aaa}}line,path,rect.o,circle.o{{stroke:#aaa}}}}</style>
<defs><marker id="m" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8" /></marker></defs>
'''
def save(name, w, h, alt, body):
    open(f'docs/images/{name}.svg', 'w').write(HEAD.format(w=w, h=h, alt=alt) + '\n'.join(body) + '\n</svg>\n')
def text(x, y, s, cls='', anchor='start'): return f'<text x="{x}" y="{y}" text-anchor="{anchor}"' + (f' class="{cls}"' if cls else '') + f'>{s}</text>'
def box(x, y, w, h, cls): return f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="2" class="{cls}"/>'
def arrow(x1, y1, x2, y2): return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" marker-end="url(#m)"/>'
C = 'abcd'

# 1. a shuffle: three members, twelve coordinates, three of them permuted
body = []
perm = {2: [1, 2, 0], 6: [2, 0, 1], 9: [1, 0, 2]}
for side, x0 in enumerate((96, 410)):
    for m in range(3):
        body.append(text(x0 - 8, 47 + 34 * m, f'member {m}', '', 'end'))
        for k in range(12):
            owner = perm[k][m] if side and k in perm else m
            body.append(box(x0 + 15 * k, 34 + 34 * m, 13, 18, C[owner]))
            if k in perm: body.append(f'<rect x="{x0 + 15 * k - 1}" y="{33 + 34 * m}" width="15" height="20" class="o"/>')
body += [text(96, 20, 'before the exchange'), text(410, 20, 'after it'), arrow(284, 77, 312, 77),
         text(96, 152, 'Framed coordinates were drawn; every rank draws the same ones, so values alone travel.', 'n'),
         text(96, 168, 'Each column holds the same values before and after: nothing is lost, nothing is averaged.', 'n')]
save('shuffle', 610, 180, 'Three members before and after a shuffle of three coordinates', body)

# 2. alignment: the same function, units in another order
body = []
def net(x, order, cls, label):
    for i, u in enumerate(order):
        y = 40 + 26 * i
        body.append(f'<circle cx="{x}" cy="{y}" r="9" class="{C[u]}"/>')
        body.append(f'<line x1="{x - 50}" y1="79" x2="{x - 10}" y2="{y}"/><line x1="{x + 10}" y1="{y}" x2="{x + 50}" y2="79"/>')
    body.append(text(x, 152, label, '', 'middle'))
net(80, [0, 1, 2, 3], '', 'network A')
net(240, [2, 0, 3, 1], '', 'network B')
net(430, [0, 1, 2, 3], '', 'B, its units permuted')
body += [arrow(305, 79, 360, 79), text(332, 70, 'match', 'n', 'middle'),
         text(20, 174, 'Permuting units (rows of one layer, columns of the next) changes no output,', 'n'),
         text(20, 190, 'but it changes what lies halfway between A and B.', 'n')]
save('alignment', 560, 200, 'Permuting the units of network B so that they fit those of network A', body)

# 3. mending: the activations of an average are too narrow
import math
body = []
def bell(x0, s, color, label):
    pts = ' '.join(f'{x0 + 60 + 60 * t:.1f},{110 - 70 / (s if s > 0.6 else 0.6) * math.exp(-t * t / (2 * s * s)) * 0.6:.1f}' for t in [i / 20 - 1 for i in range(41)])
    body.append(f'<polyline points="{pts}" style="fill:none;stroke:{color};stroke-width:2"/>')
    body.append(f'<line x1="{x0}" y1="110" x2="{x0 + 120}" y2="110"/>')
    body.append(text(x0 + 60, 128, label, '', 'middle'))
bell(20, .45, '#0072b2', 'member'), bell(190, .2, '#e69f00', 'average'), bell(360, .45, '#009e73', 'mended')
body += [arrow(318, 70, 352, 70), text(20, 152, 'Averaging lets what differs cancel, so activations shrink, layer by layer. Renormalisation gives each unit', 'n'),
         text(20, 168, 'the mean and deviation that it has in the members, and is then folded into plain weights.', 'n')]
save('mending', 600, 180, 'Activations of a member, of the average and of the mended average', body)

# 4. the run: members, coordinator, finish
body = []
for m in range(4):
    body += [box(20 + 90 * m, 30, 74, 30, C[m]), f'<text x="{57 + 90 * m}" y="50" text-anchor="middle" style="fill:#fff">member {m}</text>']
    if m < 3: body.append(f'<line x1="{94 + 90 * m}" y1="45" x2="{110 + 90 * m}" y2="45"/>')
    body.append(f'<line x1="{57 + 90 * m}" y1="64" x2="{150 + 30 * m}" y2="106" stroke-dasharray="3 3"/>')
body += [f'<rect x="120" y="108" width="150" height="30" rx="2" class="o"/>', text(195, 128, 'coordinator', '', 'middle'),
         text(386, 40, 'weights: between members, over MPI, NCCL or threads', 'n'), text(386, 56, 'counted in the ledger', 'n'),
         text(290, 116, 'heartbeats, who is lost and why; at the end the average', 'n'), text(290, 132, 'and the measurements, which idle members take over', 'n')]
save('run', 700, 150, 'Members exchange weights, the coordinator watches and finishes the run', body)
