"""Draws heads with OpenGL (EGL; llvmpipe without a GPU): environment light with occlusion per vertex, a key light with shadow."""

import cv2
import numpy as np

from .people import Surface

VERTEX = """
#version 330
uniform mat4 projection; uniform mat4 shadow;
in vec3 position; in vec3 normal; in vec2 uv; in vec3 light;
out vec3 p; out vec3 n; out vec2 t; out vec3 e; out vec3 s;
void main() {
    p = position; n = normal; t = vec2(uv.x, 1.0 - uv.y); e = light;
    s = (shadow * vec4(position, 1.0)).xyz * 0.5 + 0.5;
    gl_Position = projection * vec4(position, 1.0);
}
"""
FRAGMENT = """
#version 330
uniform sampler2D albedo; uniform sampler2DShadow depth;
uniform vec3 tint; uniform vec3 key; uniform vec3 key_colour; uniform vec3 spec; uniform float gloss;
uniform float wrap; uniform float cut; uniform int hair; uniform float exposure; uniform vec3 sky;
in vec3 p; in vec3 n; in vec2 t; in vec3 e; in vec3 s;
out vec4 colour;
void main() {
    vec4 a = texture(albedo, t);
    if (a.a < cut) discard;
    vec3 base = pow(a.rgb, vec3(2.2)) * tint;
    vec3 N = normalize(n), V = normalize(-p);
    if (dot(N, V) < 0.0 && hair == 1) N = -N;
    float lit = 0.0;
    for (int i = -1; i <= 1; i++) for (int j = -1; j <= 1; j++)
        lit += texture(depth, vec3(s.xy + vec2(i, j) * 0.0016, s.z - 0.004));
    lit /= 9.0;
    float d = dot(N, key);
    vec3 w = hair == 1 ? vec3(0.5) : vec3(wrap, wrap * 0.45, wrap * 0.3);
    vec3 diffuse = max((vec3(d) + w) / (1.0 + w), 0.0) * mix(lit, 1.0, hair == 2 ? 0.0 : 0.06);
    vec3 H = normalize(key + V);
    float fresnel = 0.04 + 0.96 * pow(1.0 - max(dot(H, V), 0.0), 5.0);
    float blinn = pow(max(dot(N, H), 0.0), gloss) * (gloss + 8.0) / 25.0;
    vec3 shine = spec * blinn * fresnel * lit * max(d, 0.0) * key_colour;
    float rim = pow(1.0 - max(dot(N, V), 0.0), 5.0);
    shine += spec * (0.03 + 0.35 * rim) * sky * length(e) * 0.25;
    vec3 c = (base * (e + diffuse * key_colour) + shine) * exposure;
    c = c * (1.0 + c * 0.1) / (1.0 + c * 0.35);
    colour = vec4(pow(clamp(c, 0.0, 1.0), vec3(1.0 / 2.2)), a.a);
}
"""
DEPTH_FRAGMENT = """
#version 330
uniform sampler2D albedo; uniform float cut;
in vec3 p; in vec3 n; in vec2 t; in vec3 e; in vec3 s;
void main() { if (texture(albedo, t).a < cut) discard; }
"""


class Part:
    """What is drawn in one go. v [V, 3] in the camera's frame; texture RGBA in [0, 1]."""

    def __init__(self, surface: Surface, v, texture, tint=(1, 1, 1), spec=0.3, gloss=20.0, wrap=0.0, cut=0.5, hair=0,
                 keep=None, blur=0, normals=None):
        self.surface, self.v, self.texture, self.tint, self.spec = surface, v, texture, tint, spec
        self.gloss, self.wrap, self.cut, self.hair, self.blur = gloss, wrap, cut, hair, blur
        self.n = surface.normals(v) if normals is None else normals
        tris = surface.triangles
        if keep is not None:
            tris = tris[keep[surface.vertex[tris]].all(1)]
        self.tris = tris


def directions(n):
    k = np.arange(n) + 0.5
    z, a = 1 - 2 * k / n, np.pi * (1 + 5**0.5) * k
    r = np.sqrt(1 - z * z)
    return np.stack([r * np.cos(a), z, r * np.sin(a)], 1)


def look_along(d, centre, radius):
    """Orthographic matrix for light that comes from direction d."""
    z = d / np.linalg.norm(d)
    x = np.cross([0, 1, 0] if abs(z[1]) < 0.9 else [1, 0, 0], z)
    x /= np.linalg.norm(x)
    y = np.cross(z, x)
    m = np.eye(4)
    m[:3, :3] = np.stack([x, y, -z]) / radius
    m[:3, 3] = -m[:3, :3] @ centre
    return m


class Renderer:
    def __init__(self, samples=4):
        # Only who draws needs it, and EGL.
        import moderngl

        self.gl = moderngl
        self.ctx = moderngl.create_context(standalone=True, backend="egl")
        self.program = self.ctx.program(vertex_shader=VERTEX, fragment_shader=FRAGMENT)
        self.shadow_program = self.ctx.program(vertex_shader=VERTEX, fragment_shader=DEPTH_FRAGMENT)
        self.samples, self.targets, self.textures = samples, {}, {}
        self.shadow_map = self.ctx.depth_texture((1024, 1024))
        self.shadow_map.compare_func = "<="
        self.shadow_map.filter = (moderngl.LINEAR, moderngl.LINEAR)
        self.shadow_fbo = self.ctx.framebuffer(depth_attachment=self.shadow_map)
        self.small = self.ctx.depth_texture((192, 192))
        self.small.compare_func = ""
        self.small_fbo = self.ctx.framebuffer(depth_attachment=self.small)

    def _texture(self, image):
        key = id(image)
        if key not in self.textures:
            t = self.ctx.texture(image.shape[1::-1], 4, (np.ascontiguousarray(image) * 255).astype(np.uint8).tobytes())
            t.build_mipmaps()
            t.filter = (self.gl.LINEAR_MIPMAP_LINEAR, self.gl.LINEAR)
            self.textures[key] = (t, image)
        return self.textures[key][0]

    def _upload(self, parts):
        out = []
        for p in parts:
            rows = np.zeros((len(p.surface.vertex), 11), np.float32)
            rows[:, :3], rows[:, 3:6], rows[:, 6:8] = p.v[p.surface.vertex], p.n[p.surface.vertex], p.surface.uv
            rows[:, 8:] = p.light[p.surface.vertex] if hasattr(p, "light") else 1
            vb, ib = self.ctx.buffer(rows.tobytes()), self.ctx.buffer(p.tris.astype(np.int32).tobytes())
            layout = [(vb, "3f 3f 2f 3f", "position", "normal", "uv", "light")]
            out.append((p, self.ctx.vertex_array(self.program, layout, ib),
                        self.ctx.vertex_array(self.shadow_program, [(vb, "3f 12x 2f 12x", "position", "uv")], ib), vb, ib))
        return out

    def _depth(self, uploaded, matrix, fbo):
        fbo.use()
        self.ctx.viewport = (0, 0, *fbo.size)
        fbo.clear(depth=1.0)
        self.ctx.enable_only(self.gl.DEPTH_TEST)
        self.shadow_program["projection"].write(matrix.T.astype(np.float32).tobytes())
        for p, _, vao, *_ in uploaded:
            self._texture(p.texture).use(0)
            if "cut" in self.shadow_program:
                self.shadow_program["cut"] = p.cut
            vao.render()

    def light(self, parts, radiance, count=40):
        """Irradiance / pi of every vertex; radiance(directions [N, 3]) -> [N, 3]."""
        everything = np.concatenate([p.v[np.unique(p.surface.vertex[p.tris])] for p in parts])
        centre = (everything.min(0) + everything.max(0)) / 2
        radius = np.linalg.norm(everything - centre, axis=1).max() * 1.01
        uploaded = self._upload(parts)
        d = directions(count)
        colour = radiance(d)
        for p in parts:
            p.light = np.zeros((len(p.v), 3))
        for k in range(count):
            m = look_along(d[k], centre, radius)
            self._depth(uploaded, m, self.small_fbo)
            z = np.frombuffer(self.small.read(), np.float32).reshape(192, 192)
            for p in parts:
                q = (p.v + p.n * 0.03) @ m[:3, :3].T + m[:3, 3]
                x, y = ((q[:, :2] * 0.5 + 0.5) * 192).astype(int).clip(0, 191).T
                seen = (q[:, 2] * 0.5 + 0.5) <= z[y, x] + 0.004
                c = p.n @ d[k]
                if p.hair == 1:
                    c = np.abs(c) * 0.5 + 0.25
                p.light += (seen * np.maximum(c, 0))[:, None] * colour[k] * 4 / count
        for p in parts:
            if p.blur:
                t = p.surface.vertex[p.tris]
                i, j = np.concatenate([t, t[:, [1, 2, 0]], t[:, [2, 0, 1]]]).T[:2]
                degree = np.bincount(i, minlength=len(p.v))[:, None] + 1.0
                for step in range(p.blur):
                    total = p.light.copy()
                    np.add.at(total, i, p.light[j])
                    mean = total / degree
                    share = np.array([1.0, 0.6, 0.4]) if step else np.ones(3)
                    p.light = p.light + (mean - p.light) * share
        for item in uploaded:
            for o in item[1:]:
                o.release()

    def draw(self, parts, size, focal, centre, key, key_colour, exposure, sky, scale=1):
        """RGBA [h, w, 4] in [0, 1] (alpha: coverage); size (width, height), focal and centre in its pixels."""
        w, h = size[0] * scale, size[1] * scale
        uploaded = self._upload(parts)
        everything = np.concatenate([p.v[np.unique(p.surface.vertex[p.tris])] for p in parts])
        middle = (everything.min(0) + everything.max(0)) / 2
        m = look_along(key, middle, np.linalg.norm(everything - middle, axis=1).max() * 1.01)
        self._depth(uploaded, m, self.shadow_fbo)
        if (w, h) not in self.targets:
            color = self.ctx.renderbuffer((w, h), 4, samples=self.samples)
            depth = self.ctx.depth_renderbuffer((w, h), samples=self.samples)
            self.targets[w, h] = (self.ctx.framebuffer([color], depth), self.ctx.simple_framebuffer((w, h), 4))
        fbo, plain = self.targets[w, h]
        fbo.use()
        self.ctx.viewport = (0, 0, w, h)
        fbo.clear(0, 0, 0, 0, depth=1.0)
        near, far = 1.0, 4000.0
        f, cx, cy = focal * scale, centre[0] * scale, centre[1] * scale
        # Camera: x right, y down, z ahead. The picture's first row is the top: read back upside down by OpenGL, so y is not flipped.
        pm = np.array([[2 * f / w, 0, 2 * cx / w - 1, 0], [0, 2 * f / h, 2 * cy / h - 1, 0],
                       [0, 0, (far + near) / (far - near), -2 * far * near / (far - near)], [0, 0, 1, 0]])
        self.ctx.enable_only(self.gl.DEPTH_TEST)
        self.ctx.enable_direct(0x809E)  # alpha to coverage
        self.ctx.enable_direct(0x809F)  # and alpha to one
        g = self.program
        g["projection"].write(pm.T.astype(np.float32).tobytes())
        g["shadow"].write(m.T.astype(np.float32).tobytes())
        self.shadow_map.use(1)
        g["albedo"], g["depth"] = 0, 1
        g["key"], g["key_colour"], g["exposure"], g["sky"] = tuple(key / np.linalg.norm(key)), tuple(key_colour), exposure, tuple(sky)
        for p, vao, *_ in uploaded:
            self._texture(p.texture).use(0)
            g["tint"], g["spec"], g["gloss"], g["wrap"] = tuple(p.tint), (p.spec,) * 3, p.gloss, p.wrap
            g["cut"], g["hair"] = (0.08 if p.hair == 1 else p.cut), p.hair
            vao.render()
        self.ctx.disable_direct(0x809E)
        self.ctx.disable_direct(0x809F)
        self.ctx.copy_framebuffer(plain, fbo)
        out = np.frombuffer(plain.read(components=4), np.uint8).reshape(h, w, 4).astype(np.float32) / 255
        for item in uploaded:
            for o in item[1:]:
                o.release()
        if len(self.textures) > 60:
            for t, _ in self.textures.values():
                t.release()
            self.textures.clear()
        if scale > 1:
            out = cv2.resize(out, size, interpolation=cv2.INTER_AREA)
        return out
