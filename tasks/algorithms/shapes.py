"""Array shapes in annotations, checked at run time in the tests.

jaxtyping is a development dependency. On a bare machine that has only torch, the annotations
`Float[Tensor, "batch seq"]` fall back to plain `Tensor`.
"""

try:
    from jaxtyping import Bool, Float, Int
except ImportError:

    class _Plain:
        def __class_getitem__(cls, item: tuple) -> type:
            return item[0]

    Bool = Float = Int = _Plain

__all__ = ["Bool", "Float", "Int"]
